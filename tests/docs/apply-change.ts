/**
 * Applies a block of language `diff` to a text: the lines that begin with a space or a minus sign must be in it once, next to each other, and give way to those
 * that begin with a space or a plus sign. Throws when they are not.
 */
export function applyChange(text: string, change: string): string {
  const lines = change.split("\n");
  const side = (signs: string): string =>
    lines
      .filter((line) => signs.includes(line.slice(0, 1)))
      .map((line) => `${line.slice(1)}\n`)
      .join("");
  const [before, after] = [side(" -"), side(" +")];
  const parts = `\n${text}`.split(`\n${before}`);
  if (parts.length !== 2) throw new Error(`what is to be changed is there ${parts.length - 1} times:\n${before}`);
  return parts.join(`\n${after}`).slice(1);
}
