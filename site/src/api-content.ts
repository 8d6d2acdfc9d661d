import { anchorLink, type PageHeading } from "./markdown-renderer.ts";
import { escapeHtml, htmlTags, textOfHtml } from "./html-tags.ts";

/** Where the links of a source location lead until the site knows the repository's address. */
export const sourceScheme = "source:";

/**
 * Makes typedoc's content fit for this site's pages: no icons that a script would have to bring, no copy buttons, no
 * folding parts that hide headings, tables that scroll, and source links that lead where `sourceUrl` says.
 */
export function adoptContent(html: string, sourceUrl: (path: string, line: string) => string | undefined): string {
  return (
    html
      .replace(/^<!DOCTYPE html>/, "")
      .replace(/<ul class="tsd-breadcrumb"[\s\S]*?<\/ul>/, "")
      .replace(/<button type="button">Copy<\/button>/g, "")
      .replace(/<a href="#([^"]*)" aria-label="Permalink" class="tsd-anchor-icon">.*?<\/a>/g, (_, id: string) =>
        anchorLink(decodeURIComponent(id), decodeURIComponent(id)),
      )
      .replace(/<svg class="tsd-kind-icon"[^>]*aria-label="([^"]*)"[^>]*>.*?<\/svg>/g, (_, label: string) => {
        return `<span class="kind ${kindClass(label)}" title="${label}"></span>`;
      })
      .replace(/<svg\b[^>]*>\s*<use\b[^>]*>\s*<\/use>\s*<\/svg>/g, "")
      .replace(/<details class="([^"]*tsd-accordion[^"]*)"[^>]*>/g, '<section class="$1">')
      .replace(/<details open class="([^"]*tsd-accordion[^"]*)"[^>]*>/g, '<section class="$1">')
      .replace(/<summary class="tsd-accordion-summary"[^>]*>([\s\S]*?)<\/summary>/g, "$1")
      .replaceAll("</details>", "</section>")
      // The page has its title; a comment's own headings stand below it.
      .replace(/<(\/?)h1\b/g, "<$1h2")
      .replace(/<table>/g, '<div class="table" tabindex="0" role="region" aria-label="Table"><table>')
      .replaceAll("</table>", "</table></div>")
      .replace(/<pre>/g, '<pre tabindex="0">')
      .replace(
        /<div class="tsd-signature">/g,
        '<div class="tsd-signature" tabindex="0" role="group" aria-label="Signature">',
      )
      .replace(/<a href="source:([^"#]*)#L(\d+)"[^>]*>(.*?)<\/a>/g, (_, path: string, line: string, text: string) => {
        const url = sourceUrl(path, line);
        return url === undefined ? `<code>${text}</code>` : `<a href="${escapeHtml(url)}">${text}</a>`;
      })
  );
}

/** A kind as a class name: `type-alias`. */
export function kindClass(kind: string): string {
  return kind.toLowerCase().replace(/[^a-z]+/g, "-");
}

/** The headings of the second and third level that have an anchor. */
export function headingsOf(html: string): readonly PageHeading[] {
  const headings: PageHeading[] = [];
  for (const { name, attributes, end } of htmlTags(html)) {
    const id = attributes.get("id");
    if (id === undefined || (name !== "h2" && name !== "h3")) continue;
    const close = html.indexOf(`</${name}>`, end);
    const inner = html
      .slice(end, close === -1 ? end : close)
      .replace(/<(a class="anchor"|code class="tsd-tag")[\s\S]*?<\/(a|code)>/g, "");
    headings.push({ level: Number(name.slice(1)), id, text: textOfHtml(inner) });
  }
  return headings;
}
