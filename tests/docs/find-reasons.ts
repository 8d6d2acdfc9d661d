import ts from "typescript";
import { read, readWorkspace } from "../architecture/source-tree.ts";

/** Where a name is. */
export interface NamePlace {
  readonly name: string;
  /** Path and line. */
  readonly place: string;
}

/**
 * Every text or name that begins with `VDC_` in what the packages publish: reasons of errors, and environment variables. Of a template with a
 * part that is only known at run time, the fixed beginning and `*`.
 */
export function findReasons(): readonly NamePlace[] {
  return publishedSources().flatMap((path) => namesIn(path, read(path)));
}

/** The sources that packages publish. */
export function publishedSources(): readonly string[] {
  return readWorkspace()
    .flatMap(({ sources }) => sources)
    .filter((path) => /^packages\/.*\/src\//.test(path) && !/\.test\.ts$|\/test\//.test(path));
}

/** The names in a source file. Read from the syntax tree, so that comments do not count. */
export function namesIn(path: string, text: string): readonly NamePlace[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2024, false, ts.ScriptKind.TS);
  const found: NamePlace[] = [];
  const visit = (node: ts.Node): void => {
    const name = nameOf(node);
    const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
    if (name !== undefined) found.push({ name, place: `${path}:${line + 1}` });
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function nameOf(node: ts.Node): string | undefined {
  if (ts.isStringLiteralLike(node) || ts.isIdentifier(node))
    return /^VDC_[A-Z][A-Z_]*$/.test(node.text) ? node.text : undefined;
  if (ts.isTemplateHead(node))
    return /^VDC_[A-Z_]+$/.test(node.text) && node.text !== "VDC_" ? `${node.text}*` : undefined;
  return undefined;
}
