/** Gives each block of code a button that copies it. */
export function setUpCopyButtons(): void {
  for (const block of document.querySelectorAll<HTMLElement>("article pre")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy this code");
    button.addEventListener("click", async () => {
      button.textContent = (await copy(block.querySelector("code")?.textContent ?? "")) ? "Copied" : "Select and copy";
      setTimeout(() => {
        button.textContent = "Copy";
      }, 2000);
    });
    const frame = block.closest("figure") ?? wrap(block);
    frame.append(button);
  }
}

function wrap(block: HTMLElement): HTMLElement {
  const frame = document.createElement("figure");
  frame.className = "code";
  block.replaceWith(frame);
  frame.append(block);
  return frame;
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages read from a disk may not use the clipboard's interface; the old command is still allowed there.
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
