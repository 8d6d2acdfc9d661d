/** Gives each heading of one page its anchor, as GitHub does: so a link works in the repository and on the site. */
export class HeadingSlugs {
  readonly #taken = new Set<string>();

  /** The anchor of the next heading, from its text without markup. */
  next(text: string): string {
    const slug = text
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
    let anchor = slug;
    for (let count = 1; this.#taken.has(anchor); count++) anchor = `${slug}-${count}`;
    this.#taken.add(anchor);
    return anchor;
  }
}
