import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
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

/** What the built files contain of others, with their terms. */
const PARTS: [name: string, files: string[]][] = [
  ["preact", ["LICENSE"]],
  ["@preact/signals", ["LICENSE"]],
  ["@preact/signals-core", ["LICENSE"]],
  ["swagger-ui-dist", ["LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"]],
];

/** The licences of what is built in, as one text. */
function licences(): Plugin {
  return {
    name: "licences",
    apply: "build",
    closeBundle() {
      const parts = PARTS.map(([name, files]) => {
        const folder = join("node_modules", name);
        const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
        const texts = files.map((file) => readFileSync(join(folder, file), "utf8").replace(/\r\n/g, "\n").trim());
        return [`${name} ${version} (${license})`, ...texts].join("\n\n");
      });
      writeFileSync(join(OUT, "licenses.txt"), `${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`);
    },
  };
}

const server = process.env.ANYMASK_SERVER ?? "http://127.0.0.1:7101";

export default defineConfig({
  base: "./",
  plugins: [swagger(), licences()],
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
