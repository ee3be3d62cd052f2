// Drops files on an element, or pastes them, as file managers and screenshot tools do. Evaluated by driving.py.
([kind, files, on]) => {
  const transfer = new DataTransfer();
  for (const [name, type, text] of files) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  const target = document.querySelector(on);
  const how = { bubbles: true, cancelable: true };
  if (kind === "paste") return void target.dispatchEvent(new ClipboardEvent("paste", { ...how, clipboardData: transfer }));
  for (const event of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(event, { ...how, dataTransfer: transfer }));
  }
}
