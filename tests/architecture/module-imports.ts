import ts from "typescript";

/** One module specifier in a source file. */
export interface ModuleImport {
  readonly specifier: string;
  readonly line: number;
}

/**
 * Every module that a source file names: in imports, re-exports, dynamic imports, `import.meta.resolve` and type
 * positions. Read from the syntax tree, so that comments and texts are not mistaken for imports.
 */
export function findModuleImports(path: string, text: string): readonly ModuleImport[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2024, false, ts.ScriptKind.TS);
  const found: ModuleImport[] = [];
  const add = (node: ts.Node | undefined): void => {
    if (node === undefined || !ts.isStringLiteralLike(node)) return;
    found.push({ specifier: node.text, line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1 });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    else if (ts.isCallExpression(node) && loadsModule(node, file)) add(node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function loadsModule(call: ts.CallExpression, file: ts.SourceFile): boolean {
  if (call.expression.kind === ts.SyntaxKind.ImportKeyword) return true;
  return ["import.meta.resolve", "require", "require.resolve"].includes(call.expression.getText(file));
}

/** The lines with `export * from`, which would make a package's API unreadable. */
export function findStarExports(path: string, text: string): readonly number[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2024, false, ts.ScriptKind.TS);
  return file.statements
    .filter((node) => ts.isExportDeclaration(node) && node.exportClause === undefined)
    .map((node) => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1);
}
