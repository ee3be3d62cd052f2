/** The result as a file or on the clipboard, at the picture's full size. */
import { signal } from "@preact/signals";
import { current, fail, say } from "../../state";
import { save } from "../exchange/save";
import { cutOut, fileName, options, type FileFormat } from "./state";

/** What is being made now, or "". */
export const making = signal("");

/** Downloads the result. */
export async function download(format: FileFormat): Promise<void> {
  const picture = current.value;
  const asked = options.value;
  if (!picture || !asked || making.value) return;
  making.value = format;
  try {
    const name = fileName(picture, format);
    save(await cutOut(picture, { ...asked, format }), name);
    say(`Saved ${name}.`);
  } catch (error) {
    fail(error);
  } finally {
    making.value = "";
  }
}

/** Whether this browser can put pictures on the clipboard: it needs https or this machine's own address. */
export const canCopy = typeof ClipboardItem !== "undefined" && !!navigator.clipboard?.write;

/** Puts the result on the clipboard as a PNG. */
export async function copy(): Promise<void> {
  const picture = current.value;
  const asked = options.value;
  if (!picture || !asked || making.value) return;
  making.value = "copy";
  try {
    // The promise goes in at once: browsers allow it only as part of the click.
    const blob = cutOut(picture, { ...asked, format: "png" });
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    say("Copied the cut-out as PNG.");
  } catch (error) {
    fail(error);
  } finally {
    making.value = "";
  }
}
