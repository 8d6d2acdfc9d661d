import { stripVTControlCharacters } from "node:util";

/** Text from outside as it may be shown: without what a terminal would take as a command. Lines stay lines. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  return stripVTControlCharacters(text).replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "\ufffd");
}
