/** Gives files to the person, and says how many there are of something. */

/** Saves a blob under a name. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  follow(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

/** Downloads what an address gives; the server's name for it counts where it says one. */
export function follow(url: string, name = ""): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

/** "1 object", "3 objects". */
export function count(number: number, what = "object"): string {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}
