/** The navigation: on a phone a button unfolds it, elsewhere it shows where the reader is. */
export function setUpNavigationMenu(): void {
  const button = document.querySelector<HTMLButtonElement>("button.menu");
  const navigation = document.querySelector<HTMLElement>("nav.pages");
  if (!button || !navigation) return;
  const unfold = (open: boolean): void => {
    button.setAttribute("aria-expanded", String(open));
    document.documentElement.classList.toggle("menu-open", open);
    if (open) showCurrent(navigation);
  };
  button.addEventListener("click", () => unfold(button.getAttribute("aria-expanded") !== "true"));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || button.getAttribute("aria-expanded") !== "true") return;
    unfold(false);
    button.focus();
  });
  navigation.addEventListener("click", (event) => {
    if ((event.target as Element).closest("a")) unfold(false);
  });
  showCurrent(navigation);
}

function showCurrent(navigation: HTMLElement): void {
  const current = navigation.querySelector<HTMLElement>('[aria-current="page"]');
  if (!current) return;
  const place = current.getBoundingClientRect().top - navigation.getBoundingClientRect().top;
  if (place > navigation.clientHeight * 0.8) navigation.scrollTop += place - navigation.clientHeight / 3;
}
