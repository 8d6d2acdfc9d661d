import { join } from "node:path";
import ts from "typescript";
import { root } from "../architecture/source-tree.ts";
import type { CodeBlock } from "./markdown-page.ts";
import { readersNames } from "./readers-names.ts";

/**
 * Type-checks blocks, each as a module of its own, in one program with the workspace's settings. Returns what is wrong, each with the page's
 * name and line. Modules are found as they are from the folder `tests`, which depends on every package.
 */
export function checkTypes(blocks: readonly CodeBlock[]): readonly string[] {
  const sources = new Map<string, { readonly block: CodeBlock; readonly text: string }>();
  for (const block of blocks) {
    const name = `${block.path.replaceAll("/", "__")}.${block.line}.ts`;
    const text = `${block.text}\nexport {};${readersNames[block.path] ?? ""}`;
    sources.set(join(root, "tests/docs", name), { block, text });
  }
  const options = { ...workspaceOptions(), ...looserOptions };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => sources.has(path) || fileExists(path);
  host.readFile = (path) => sources.get(path)?.text ?? readFile(path);
  host.getSourceFile = (path, version, ...rest) => {
    const source = sources.get(path);
    return source === undefined
      ? getSourceFile(path, version, ...rest)
      : ts.createSourceFile(path, source.text, version);
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  return [...sources].flatMap(([path, { block }]) => {
    const file = program.getSourceFile(path);
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return found.map(({ start = 0, messageText }) => {
      const line = file === undefined ? 0 : ts.getLineAndCharacterOfPosition(file, start).line;
      return `${block.path}:${block.line + line} ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
    });
  });
}

/** Examples need no annotations on their exports, and may show a name that they do not use further. */
const looserOptions: ts.CompilerOptions = {
  noEmit: true,
  declaration: false,
  isolatedDeclarations: false,
  noUnusedLocals: false,
  noUnusedParameters: false,
};

function workspaceOptions(): ts.CompilerOptions {
  const { config, error } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  if (error !== undefined) throw new Error(ts.flattenDiagnosticMessageText(error.messageText, " "));
  return ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root).options;
}
