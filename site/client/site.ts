import { setUpCopyButtons } from "./copy-buttons.ts";
import { setUpFinder } from "./finder.ts";
import { setUpNavigationMenu } from "./navigation-menu.ts";
import { setUpPageContents } from "./page-contents.ts";
import { setUpThemeButton } from "./theme-button.ts";

setUpThemeButton();
setUpNavigationMenu();
setUpFinder(document.documentElement.dataset.base ?? "");
setUpCopyButtons();
setUpPageContents();
