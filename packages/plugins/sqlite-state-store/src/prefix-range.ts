/**
 * The first string, in code-point order, that is greater than every string with this prefix; `undefined` when there is none.
 *
 * SQLite compares text by its UTF-8 bytes, which is code-point order, so `key >= prefix AND key < prefixEnd(prefix)` is an
 * index range that holds exactly the keys with the prefix.
 */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) as number);
  while (points.length > 0) {
    const last = points.pop() as number;
    if (last === 0x10ffff) continue;
    // Surrogates are not characters: nothing well-formed lies between U+D7FF and U+E000.
    return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
  }
  return undefined;
}
