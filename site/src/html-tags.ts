/** A start tag of an HTML document. */
export interface HtmlTag {
  /** In lower case. */
  readonly name: string;
  /** Values with their character references resolved; `""` for an attribute without a value. */
  readonly attributes: ReadonlyMap<string, string>;
  /** Offset of the character after the tag. */
  readonly end: number;
}

const rawTextElements: ReadonlySet<string> = new Set(["script", "style"]);

/**
 * The start tags of a document in their order. Text of scripts, styles and comments is passed over; a tag that never
 * ends is no tag. Reads each character a bounded number of times.
 */
export function* htmlTags(html: string): Generator<HtmlTag> {
  let at = html.indexOf("<");
  while (at !== -1) {
    if (html.startsWith("<!--", at)) {
      const end = html.indexOf("-->", at + 4);
      if (end === -1) return;
      at = html.indexOf("<", end + 3);
      continue;
    }
    if (!/[a-z]/i.test(html.charAt(at + 1))) {
      at = html.indexOf("<", at + 1);
      continue;
    }
    const tag = readTag(html, at + 1);
    if (tag === undefined) return;
    yield tag;
    at = rawTextElements.has(tag.name) ? endOfRawText(html, tag) : html.indexOf("<", tag.end);
  }
}

const nameCharacters = /[^\s/>]*/y;
const attributeStart = /[\s/]*([^\s/>=]+)(?:\s*(=)\s*)?/y;
const bareValue = /[^\s>]*/y;
const tagEnd = /[\s/]*>/y;

function readTag(html: string, start: number): HtmlTag | undefined {
  const name = matchAt(nameCharacters, html, start)?.[0] ?? "";
  const attributes = new Map<string, string>();
  let at = start + name.length;
  for (;;) {
    const end = matchAt(tagEnd, html, at);
    if (end !== undefined) return { name: name.toLowerCase(), attributes, end: at + end[0].length };
    const attribute = matchAt(attributeStart, html, at);
    if (attribute === undefined) return undefined;
    at += attribute[0].length;
    let value = "";
    if (attribute[2] === "=") {
      const quote = html.charAt(at);
      if (quote === '"' || quote === "'") {
        const close = html.indexOf(quote, at + 1);
        if (close === -1) return undefined;
        value = html.slice(at + 1, close);
        at = close + 1;
      } else {
        value = matchAt(bareValue, html, at)?.[0] ?? "";
        at += value.length;
      }
    }
    const key = (attribute[1] as string).toLowerCase();
    if (!attributes.has(key)) attributes.set(key, decodeHtml(value));
  }
}

function endOfRawText(html: string, tag: HtmlTag): number {
  const close = new RegExp(`</${tag.name}`, "gi");
  close.lastIndex = tag.end;
  return close.exec(html)?.index ?? -1;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

const namedCharacters: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: " ",
};

/** Resolves the character references that HTML written by programs has. */
export function decodeHtml(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]+));/gi, (whole, decimal, hexadecimal, name) => {
    if (name !== undefined) return namedCharacters[name] ?? whole;
    const point = decimal === undefined ? Number.parseInt(hexadecimal, 16) : Number(decimal);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}

/** Makes text fit for an element's content and for a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** The text of a piece of HTML: no tags, white space as one blank. */
export function textOfHtml(html: string): string {
  return decodeHtml(html.replace(/<[^>]*>/g, ""))
    .replace(/\s+/g, " ")
    .trim();
}
