/** The film strip: the open pictures, small. */
import { useEffect, useRef } from "preact/hooks";
import { current, pictures, show, type Picture } from "../state";
import { api } from "../api";
import { closeByHand } from "../pictures/open";
import { withPicture } from "../pictures/upload";
import { filming } from "../slots";
import { Close } from "./icons";

const SIDE = 112;
let queue: Promise<void> = Promise.resolve();

/** Makes a thumbnail, one at a time: by the browser, or by the server for formats that it does not read. */
function makeThumbnail(picture: Picture): void {
  queue = queue.then(async () => {
    if (picture.thumbnail.value || !pictures.value.includes(picture)) return;
    try {
      picture.thumbnail.value = URL.createObjectURL(await reduced(picture));
    } catch {
      // The picture itself will say what is wrong with it.
    }
  });
}

async function reduced(picture: Picture): Promise<Blob> {
  try {
    if (!picture.file) throw new Error("no file");
    const bitmap = await createImageBitmap(picture.file);
    const scale = Math.min(1, SIDE / Math.min(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
    const context = canvas.getContext("2d")!;
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return await canvas.convertToBlob({ type: "image/webp", quality: 0.8 });
  } catch {
    return withPicture(picture, (id) => api.pictures.image(id, 2 * SIDE));
  }
}

function Frame({ picture, index, count }: { picture: Picture; index: number; count: number }) {
  const element = useRef<HTMLDivElement>(null);
  const chosen = current.value === picture;
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) makeThumbnail(picture);
    });
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, [picture]);
  useEffect(() => {
    if (chosen) element.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [chosen]);
  const items = picture.doc.value.items.length;
  return (
    <div class={`frame ${chosen ? "chosen" : ""} ${picture.status.value}`} ref={element}>
      <button
        type="button"
        class="open"
        aria-current={chosen}
        aria-label={`Picture ${index + 1} of ${count}: ${picture.name}${picture.error.value ? `, ${picture.error.value}` : ""}`}
        title={picture.error.value || picture.name}
        onClick={() => show(picture.key)}
        data-testid={`frame-${index}`}
      >
        {picture.thumbnail.value ? <img src={picture.thumbnail.value} alt="" draggable={false} /> : <span class="truncate">{picture.name}</span>}
      </button>
      {items > 0 && <span class="badge numbers">{items}</span>}
      {picture.status.value === "error" && <span class="badge bad">!</span>}
      <button type="button" class="shut" aria-label={`Close ${picture.name}`} title="Close" onClick={() => closeByHand(picture.key)}>
        <Close />
      </button>
    </div>
  );
}

export function Strip() {
  const all = pictures.value;
  if (all.length < 2 || filming.value) return null;
  return (
    <div class="strip" role="group" aria-label="Open pictures" data-testid="strip">
      {all.map((picture, index) => (
        <Frame key={picture.key} picture={picture} index={index} count={all.length} />
      ))}
    </div>
  );
}
