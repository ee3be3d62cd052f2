import { copyFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const OUT = "../src/anymask/server/static";

/** The two files that the server's /docs page needs, so that it works without a network. */
function swagger(): Plugin {
  return {
    name: "swagger",
    apply: "build",
    closeBundle() {
      const from = createRequire(import.meta.url).resolve("swagger-ui-dist/package.json");
      mkdirSync(join(OUT, "docs"), { recursive: true });
      for (const name of ["swagger-ui-bundle.js", "swagger-ui.css"]) {
        copyFileSync(join(from, "..", name), join(OUT, "docs", name));
      }
    },
  };
}

const server = process.env.ANYMASK_SERVER ?? "http://127.0.0.1:7101";

export default defineConfig({
  base: "./",
  plugins: [swagger()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        // Fixed names: the built files are committed, and a change shows as a change of the same file.
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  server: {
    proxy: {
      "/api": { target: server, ws: true, changeOrigin: true, headers: { origin: server } },
    },
  },
});
