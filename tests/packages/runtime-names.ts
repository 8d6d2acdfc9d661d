import { runProgram } from "./run-program.ts";

/** Runs in the Node.js that is asked. */
const program = `
const names = Object.getOwnPropertyNames(globalThis);
const members = names.flatMap((name) => {
  const { value } = Object.getOwnPropertyDescriptor(globalThis, name);
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return [];
  return Object.getOwnPropertyNames(value).map((member) => name + "." + member);
});
console.log(JSON.stringify([...names, ...members]));
`;

/** What a Node.js has without an import: the names of its globals, and of their own members, as in `Promise.try`. */
export async function runtimeNames(node: string): Promise<ReadonlySet<string>> {
  const args = ["--disable-warning=ExperimentalWarning", "--no-deprecation", "--input-type=module", "--eval", program];
  const { code, stdout, stderr } = await runProgram(node, args, { cwd: process.cwd() });
  if (code !== 0) throw new Error(`'${node}' did not tell its names: ${stderr}`);
  return new Set(JSON.parse(stdout) as readonly string[]);
}

/** Those of the names that JavaScript uses, other than by asking with `typeof` whether they are there. */
export function usedNames(text: string, names: ReadonlySet<string>): readonly string[] {
  const found = new Set<string>();
  for (const [path, name = ""] of text.matchAll(/(?<![.\w$])([A-Za-z_$][\w$]*)(?:\.[A-Za-z_$][\w$]*)?/g)) {
    for (const used of [name, path]) {
      if (names.has(used) && !text.includes(`typeof ${used} `)) found.add(used);
    }
  }
  return [...found];
}
