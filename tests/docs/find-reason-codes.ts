import ts from "typescript";
import { read } from "../architecture/source-tree.ts";
import { type NamePlace, publishedSources } from "./find-reasons.ts";

/** A code that a reason comes with somewhere. */
export interface ReasonCode extends NamePlace {
  readonly code: string;
}

/** Where an error is made of a code and a reason that both stand there as text. What is computed is not found. */
export function findReasonCodes(): readonly ReasonCode[] {
  return publishedSources().flatMap((path) => reasonCodesIn(path, read(path)));
}

/** Those of one source file. */
export function reasonCodesIn(path: string, text: string): readonly ReasonCode[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2024, true, ts.ScriptKind.TS);
  const found: ReasonCode[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && node.expression.getText(file) === "VdcError") {
      const [code, , options] = node.arguments ?? [];
      const name = reasonOf(options);
      if (name !== undefined && code !== undefined && ts.isStringLiteral(code)) {
        const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
        found.push({ name, code: code.text, place: `${path}:${line + 1}` });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function reasonOf(options: ts.Expression | undefined): string | undefined {
  if (options === undefined || !ts.isObjectLiteralExpression(options)) return undefined;
  for (const property of options.properties) {
    if (!ts.isPropertyAssignment(property) || property.name.getText() !== "reason") continue;
    if (ts.isStringLiteral(property.initializer)) return property.initializer.text;
  }
  return undefined;
}
