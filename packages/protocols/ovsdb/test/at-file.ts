/** A check of Open vSwitch's test suite: what `test-ovsdb` is called with, and what it shall print. */
export interface AtCheck {
  readonly kind: "positive" | "negative";
  readonly title: string;
  readonly args: readonly string[];
  readonly expected: string;
}

/** Finds the checks of `test-ovsdb` in a file of Autotest (`ovsdb-data.at`, `ovsdb-types.at`, ...). */
export function readAtChecks(text: string): readonly AtCheck[] {
  const checks: AtCheck[] = [];
  for (const match of text.matchAll(/^OVSDB_CHECK_(POSITIVE|NEGATIVE)(?:_CPY)?\(/gm)) {
    const args = readArguments(text, match.index + match[0].length);
    const [title = "", command = "", expected = ""] = args;
    if (command.includes("m4_")) continue;
    checks.push({
      kind: match[1] === "POSITIVE" ? "positive" : "negative",
      title: expand(title),
      args: splitWords(expand(command)),
      expected: expand(expected).replace(/\n$/, ""),
    });
  }
  return checks;
}

/** The arguments of a macro call, each without its outer quotes. */
function readArguments(text: string, start: number): readonly string[] {
  const args: string[] = [];
  let current = "";
  let depth = 0;
  for (let index = start; index < text.length; index += 1) {
    const char = text[index]!;
    if (depth === 0 && (char === "," || char === ")")) {
      args.push(current.trim());
      current = "";
      if (char === ")") break;
      continue;
    }
    if (char === "[" && depth++ === 0) continue;
    if (char === "]" && --depth === 0) continue;
    if (depth > 0 || char.trim() !== "") current += char;
  }
  return args;
}

/** What M4 makes of an argument when it reads it again: one more level of quotes goes, comments go, and the words for brackets become brackets. */
function expand(text: string): string {
  let result = "";
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const char = text[index]!;
    if (depth === 0 && /^dnl\b/.test(text.slice(index, index + 4))) {
      index = text.indexOf("\n", index);
      continue;
    }
    if (char === "[" && depth++ === 0) continue;
    if (char === "]" && --depth === 0) continue;
    result += char;
  }
  return result.replaceAll("@<:@", "[").replaceAll("@:>@", "]").replaceAll("@S|@", "$").replaceAll("@%:@", "#");
}

/** The words of a command line, as a shell makes them of quotes and backslashes. */
function splitWords(line: string): readonly string[] {
  const words: string[] = [];
  let current: string | undefined;
  for (let index = 0; index < line.length; index += 1) {
    const char = line[index]!;
    if (char === "'") {
      const end = line.indexOf("'", index + 1);
      current = (current ?? "") + line.slice(index + 1, end);
      index = end;
    } else if (char === "\\") {
      index += 1;
      if (line[index] !== "\n") current = (current ?? "") + (line[index] ?? "");
    } else if (/\s/.test(char)) {
      if (current !== undefined) words.push(current);
      current = undefined;
    } else current = (current ?? "") + char;
  }
  if (current !== undefined) words.push(current);
  return words;
}
