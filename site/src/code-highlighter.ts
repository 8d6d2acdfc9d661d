import { type BundledLanguage, bundledLanguages, createHighlighter } from "shiki";
import { escapeHtml } from "./html-tags.ts";

/** Colours code. Colours are in the HTML itself, for light and dark, so that no script runs in the reader's browser. */
export interface CodeHighlighter {
  /** A `<pre>` with the code. A language that is not known gives plain text. */
  highlight(code: string, language: string): string;
  dispose(): void;
}

/** The themes of all code, in guides and in the API reference. Their colours have enough contrast to be read. */
export const codeThemes = { light: "github-light-high-contrast", dark: "github-dark-high-contrast" } as const;

/** Loads what the languages given need. */
export async function createCodeHighlighter(languages: Iterable<string>): Promise<CodeHighlighter> {
  const known = [...new Set(languages)].filter((name): name is BundledLanguage => name in bundledLanguages);
  const shiki = await createHighlighter({ themes: [codeThemes.light, codeThemes.dark], langs: known });
  const loaded = new Set(shiki.getLoadedLanguages());
  return {
    highlight(code, language) {
      if (!loaded.has(language)) return `<pre><code>${escapeHtml(code)}</code></pre>`;
      const html = shiki.codeToHtml(code, { lang: language, themes: codeThemes, defaultColor: "light-dark()" });
      // The background and the keyboard focus are the style sheet's; the class names would only say the themes again.
      return html.replace(/^<pre[^>]*>/, "<pre>");
    },
    dispose: () => shiki.dispose(),
  };
}
