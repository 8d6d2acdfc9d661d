import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

const compilerOptions = {
  target: ts.ScriptTarget.ES2024,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  isolatedDeclarations: true,
  declaration: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  allowImportingTsExtensions: true,
};

/**
 * Writes `dist/<name>.d.ts` for each source file that the entries reach. Every export states its type
 * (isolatedDeclarations), so each file is translated alone, in milliseconds, without a type checker.
 *
 * @param {{ directory: string, entries: readonly string[] }} options
 */
export function writeDeclarations({ directory, entries }) {
  const sourceRoot = join(directory, "src");
  const pending = entries.map((entry) => join(directory, entry));
  const seen = new Set(pending);
  for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
    const { outputText, diagnostics = [] } = ts.transpileDeclaration(readFileSync(file, "utf8"), {
      compilerOptions,
      fileName: file,
      reportDiagnostics: true,
    });
    const [problem] = diagnostics;
    if (problem !== undefined) {
      throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(problem.messageText, "\n")}`);
    }
    const text = outputText.replace(/(\bfrom\s+|\bimport\(\s*|\bimport\s+)"(\.[^"]+)\.ts"/g, (_, keyword, path) => {
      const imported = join(dirname(file), `${path}.ts`);
      if (!seen.has(imported)) {
        seen.add(imported);
        pending.push(imported);
      }
      return `${keyword}"${path}.js"`;
    });
    const target = join(directory, "dist", relative(sourceRoot, file).replace(/\.ts$/, ".d.ts"));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
}
