const themes = ["system", "light", "dark"] as const;
type Theme = (typeof themes)[number];

/** The button that goes through: as the system, light, dark. The choice is kept on this device. */
export function setUpThemeButton(): void {
  const button = document.querySelector<HTMLButtonElement>("button.theme");
  if (!button) return;
  const show = (): void => {
    const text = `Colours: ${currentTheme() === "system" ? "as the system" : currentTheme()}`;
    button.setAttribute("aria-label", text);
    button.title = text;
  };
  button.addEventListener("click", () => {
    setTheme(themes[(themes.indexOf(currentTheme()) + 1) % themes.length] as Theme);
    show();
  });
  show();
}

function currentTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

function setTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("vdc-theme", theme);
  } catch {
    // Without storage the choice holds for this page.
  }
}
