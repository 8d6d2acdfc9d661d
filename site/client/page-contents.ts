/** Marks, in the table of contents, the section that is being read. */
export function setUpPageContents(): void {
  const links = [...document.querySelectorAll<HTMLAnchorElement>(".contents.aside a")];
  const headings = links.flatMap((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))) ?? []);
  if (headings.length === 0) return;
  let waiting = false;
  const mark = (): void => {
    waiting = false;
    const line = window.innerHeight / 4;
    const last = headings.findLastIndex((heading) => heading.getBoundingClientRect().top < line);
    for (const [place, link] of links.entries()) {
      if (place === Math.max(last, 0)) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  document.addEventListener(
    "scroll",
    () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(mark);
    },
    { passive: true },
  );
  mark();
}
