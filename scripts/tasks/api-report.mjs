import { posix } from "node:path";
import ts from "typescript";
import { declarationsOf } from "./declarations.mjs";

const printer = ts.createPrinter({ removeComments: true, newLine: ts.NewLineKind.LineFeed });

/** Paths of a package's declarations, as the compiler sees them: not one of them is on a disk. */
const place = "/package";

/**
 * What the users of a package can name, as text: for each entry point its exports, without comments, in the order of their names; then
 * the types that can be reached from these without a name. Blocks are apart by an empty line. The same sources always give the same text.
 *
 * @param {{ directory: string, manifest: Record<string, any>, entries: Record<string, string> }} options
 * @returns {string}
 */
export function apiReport({ directory, manifest, entries }) {
  const { program, checker } = readDeclarations(directory, Object.values(entries));
  const sections = [
    `API of ${manifest.name}. 'npm run api' writes this file; what differs, differs for the package's users.`,
  ];
  for (const [name, file] of Object.entries(manifest.bin ?? {}))
    sections.push(`command ${name}: ${file.replace(/^\.\/src\//, "").replace(/\.ts$/, "")}`);

  /** The name of each symbol that some entry exports, and that entry. */
  const known = new Map();
  const declared = [];
  for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
    const specifier = posix.join(manifest.name, subpath);
    const entry = Object.entries(entries).find(([, source]) => source === target);
    if (entry === undefined) {
      if (!subpath.startsWith("./test/") && subpath !== "./package.json") sections.push(`=== ${specifier}`);
      continue;
    }
    const file = program.getSourceFile(`${place}/${entry[0]}.d.ts`);
    const { blocks, symbols } = reportEntry({ checker, file, specifier, known });
    sections.push(`=== ${specifier}`, ...blocks);
    declared.push(...symbols);
  }
  const reached = reachable({ checker, symbols: declared, known });
  if (reached.length > 0) sections.push(`=== reached without a name`, ...reached);
  return `${sections.join("\n\n")}\n`;
}

function readDeclarations(directory, entries) {
  const files = new Map(
    [...declarationsOf({ directory, entries })].map(([path, text]) => [
      `${place}/${path}`,
      ts.createSourceFile(`${place}/${path}`, text, ts.ScriptTarget.ES2024, true),
    ]),
  );
  const host = {
    getSourceFile: (path) => files.get(path),
    getDefaultLibFileName: () => "lib.d.ts",
    writeFile: () => {},
    getCurrentDirectory: () => place,
    getCanonicalFileName: (path) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    fileExists: (path) => files.has(path),
    readFile: (path) => files.get(path)?.text,
    resolveModuleNameLiterals: (literals, containing) =>
      literals.map(({ text }) => {
        const path = posix.join(posix.dirname(containing), text).replace(/\.js$/, ".d.ts");
        return {
          resolvedModule:
            text.startsWith(".") && files.has(path) ? { resolvedFileName: path, extension: ".d.ts" } : undefined,
        };
      }),
  };
  const options = {
    noLib: true,
    types: [],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return { program, checker: program.getTypeChecker() };
}

/** An entry's exports: those that an entry before it has are named alone, as are those of other packages. */
function reportEntry({ checker, file, specifier, known }) {
  const module = checker.getSymbolAtLocation(file);
  const exports = module === undefined ? [] : checker.getExportsOfModule(module);
  const blocks = [];
  const symbols = [];
  const elsewhere = new Map();
  for (const symbol of exports.sort((a, b) => compare(a.name, b.name))) {
    const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const before = known.get(own);
    const origin = own.declarations === undefined ? originOf(symbol) : before;
    if (origin !== undefined) {
      elsewhere.set(origin, [...(elsewhere.get(origin) ?? []), symbol.name]);
      continue;
    }
    known.set(own, specifier);
    symbols.push(own);
    blocks.push(printSymbol(own, symbol.name));
  }
  const named = [...elsewhere].sort(([a], [b]) => compare(a, b));
  for (const [origin, names] of named) blocks.push(`from '${origin}': ${names.join(", ")}`);
  return { blocks, symbols };
}

/** The other package that an export comes from. */
function originOf(symbol) {
  const declaration = symbol.declarations?.[0];
  const statement = ts.findAncestor(
    declaration,
    (node) => ts.isExportDeclaration(node) || ts.isImportDeclaration(node),
  );
  return statement?.moduleSpecifier?.text ?? "elsewhere";
}

function printSymbol(symbol, name) {
  const texts = symbol.declarations.map((declaration) => {
    const file = declaration.getSourceFile();
    if (ts.isVariableDeclaration(declaration)) {
      const type = declaration.type ?? declaration.initializer;
      return `const ${name}: ${type === undefined ? "unknown" : printer.printNode(ts.EmitHint.Unspecified, type, file)};`;
    }
    const text = printer.printNode(ts.EmitHint.Unspecified, declaration, file);
    return text
      .replace(/^(export )?(default )?(declare )?/, "")
      .replace(/^ *#private;\n/m, "")
      .replace(/\n\s*\n/g, "\n");
  });
  if (name === "default") return `default ${texts.join("\n").replace(/^const default/, "export")}`;
  const own = symbol.declarations[0].name?.text;
  const renamed = own !== undefined && own !== name ? `${name} = ` : "";
  return renamed + texts.join("\n");
}

/** What is declared in the package, named in the declarations given, and exported by no entry; and so on from there. */
function reachable({ checker, symbols, known }) {
  const found = new Map();
  const visit = (node) => {
    if (ts.isIdentifier(node)) {
      let symbol = checker.getSymbolAtLocation(node);
      if (symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
      const declaration = symbol?.declarations?.[0];
      const isTop =
        declaration !== undefined && (declaration.parent === declaration.getSourceFile() || isTopVariable(declaration));
      if (isTop && !known.has(symbol) && !found.has(symbol)) {
        found.set(symbol, symbol.name);
        for (const each of symbol.declarations) visit(each);
      }
    }
    ts.forEachChild(node, visit);
  };
  for (const symbol of symbols) for (const declaration of symbol.declarations) visit(declaration);
  return [...found].map(([symbol, name]) => printSymbol(symbol, name)).sort(compare);
}

function isTopVariable(declaration) {
  return ts.isVariableDeclaration(declaration) && declaration.parent?.parent?.parent === declaration.getSourceFile();
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
