import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

/** @type {import("typescript").CompilerOptions} */
const compilerOptions = {
  target: ts.ScriptTarget.ES2024,
  // The real ones, for the well-known symbols: a class member of an unknown name is declared twice.
  lib: ["lib.es2024.d.ts", "lib.esnext.disposable.d.ts"],
  types: [],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  isolatedDeclarations: true,
  declaration: true,
  emitDeclarationOnly: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  allowImportingTsExtensions: true,
  noCheck: true,
  noResolve: true,
};

const host = ts.createCompilerHost(compilerOptions);
const parse = host.getSourceFile;
const libraries = new Map();
host.getSourceFile = (path, ...rest) => {
  if (!path.startsWith(host.getDefaultLibLocation())) return parse(path, ...rest);
  if (!libraries.has(path)) libraries.set(path, parse(path, ...rest));
  return libraries.get(path);
};

/**
 * Writes `dist/<name>.d.ts` for each of the {@link declarationsOf} a package.
 *
 * @param {{ directory: string, entries: readonly string[] }} options
 */
export function writeDeclarations({ directory, entries }) {
  for (const [path, text] of declarationsOf({ directory, entries })) {
    const target = join(directory, "dist", path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
}

/**
 * The declarations of each source file whose declarations the entries' reach, by their paths in `dist`. Every export states its type
 * (isolatedDeclarations), so each file is translated alone, in milliseconds, without a type checker.
 *
 * @param {{ directory: string, entries: readonly string[] }} options
 * @returns {Map<string, string>}
 */
export function declarationsOf({ directory, entries }) {
  const sourceRoot = join(directory, "src");
  const roots = entries.map((entry) => join(directory, entry));
  const program = ts.createProgram(sourceFiles(roots), compilerOptions, host);
  const declarations = new Map();
  reach(roots, (file) => {
    const text = translate(program, file);
    declarations.set(relative(sourceRoot, file).replace(/\.ts$/, ".d.ts"), text.replace(relativeImport, '$1"$2.js"'));
    return [...text.matchAll(relativeImport)].map(([, , path]) => join(dirname(file), `${path}.ts`));
  });
  return declarations;
}

const relativeImport = /(\bfrom\s+|\bimport\(\s*|\bimport\s+)"(\.[^"]+)\.ts"/g;

/** All source files that the entries import, by whatever way. */
function sourceFiles(roots) {
  return reach(roots, (file) =>
    ts
      .preProcessFile(readFileSync(file, "utf8"))
      .importedFiles.map(({ fileName }) => fileName)
      .filter((path) => /^\..*\.ts$/.test(path))
      .map((path) => join(dirname(file), path)),
  );
}

function translate(program, file) {
  const source = program.getSourceFile(file);
  const [problem] = program.getDeclarationDiagnostics(source);
  if (problem !== undefined) throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(problem.messageText, "\n")}`);
  let text = "";
  program.emit(source, (_, written) => {
    text = written;
  });
  return text;
}

/** Every file that can be reached from the ones given, them included; `next` is asked once for each. */
function reach(files, next) {
  const seen = new Set(files);
  for (const file of seen) for (const found of next(file)) seen.add(found);
  return [...seen];
}
