/** Text as it may stand in an SVG: also in a quoted attribute, and without characters that XML does not have. */
export function escapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  const allowed = text.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
  return allowed.replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

/** Text that fits into so many characters. */
export function ellipsis(text: string, most: number): string {
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}

/** A coordinate, without digits that nobody sees. */
export function coordinate(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Options of {@link svgDocument}. */
export interface SvgDocumentOptions {
  readonly width: number;
  readonly height: number;
  /** What it is, for who can't see it. */
  readonly title: string;
  /** All that it shows, in words. */
  readonly description: string;
  /** Rules beside the common ones. */
  readonly rules: readonly string[];
  readonly body: readonly string[];
}

/**
 * An SVG that stands alone: no script, no font and no file from elsewhere. It has the colours of the reader's scheme, light or dark, and its title and
 * description are read out in its place.
 */
export function svgDocument({ width, height, title, description, rules, body }: SvgDocumentOptions): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${coordinate(width)}" height="${coordinate(height)}" viewBox="0 0 ${coordinate(width)} ${coordinate(height)}" role="img" aria-labelledby="title description">
<title id="title">${escapeXml(title)}</title>
<desc id="description">${escapeXml(description)}</desc>
<style>
svg { color-scheme: light dark; --surface: #ffffff; --ink: #1f2328; --muted: #59636e; --line: #d1d9e0; --data: #0969da; --zero: #9a6700; --tint: #ddf4ff; }
@media (prefers-color-scheme: dark) {
  svg { --surface: #0d1117; --ink: #f0f6fc; --muted: #9198a1; --line: #3d444d; --data: #4493f8; --zero: #d29922; --tint: #121d2f; }
}
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: var(--ink); }
.surface { fill: var(--surface); }
.title { font-size: 15px; font-weight: 600; }
.muted { fill: var(--muted); }
.end { text-anchor: end; }
${rules.join("\n")}
</style>
<rect class="surface" width="100%" height="100%" rx="6"/>
${body.join("\n")}
</svg>
`;
}
