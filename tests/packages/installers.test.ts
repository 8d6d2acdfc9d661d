import { join } from "node:path";
import { stripTypeScriptTypes } from "node:module";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { read } from "../architecture/source-tree.ts";
import { CleanMachine } from "./clean-machine.ts";
import {
  type Installer,
  type InstallOptions,
  installers,
  type PackageUsers,
  packageUsers,
  writeProgram,
} from "./installers.ts";
import { task } from "./run-task.ts";

const timeout = 900_000;
const deep = Boolean(process.env.VDC_DEEP);

/** Each installer, each Node.js and each TypeScript once; the deep run has every installer on every Node.js with every TypeScript. */
const sparse: readonly (readonly [installer: string, node: "22" | "24", typescripts: readonly string[]])[] = [
  ["npm", "22", ["5.8"]],
  ["pnpm", "24", ["5.9"]],
  ["yarn", "22", ["6.0"]],
  ["yarn 4", "24", ["7.0"]],
];
const all = ["5.8", "5.9", "6.0", "7.0"];
const cases = deep
  ? installers.flatMap(({ name }) => (["22", "24"] as const).map((node) => [name, node, all] as const))
  : sparse;

/** What the program of tests/packages/consumer imports, and what its datacenter starts. */
const dependencies = [
  "@vdc-os/core",
  "@vdc-os/host",
  "@vdc-os/nbd",
  "@vdc-os/plugin-distributed-switch",
  "@vdc-os/plugin-file-secret-store",
  "@vdc-os/plugin-linked-clones",
  "@vdc-os/plugin-sqlite-state-store",
  "@vdc-os/plugin-thin-provisioning",
  "@vdc-os/sdk",
];

const compilerOptions = {
  target: "es2022",
  module: "nodenext",
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  skipLibCheck: false,
  noEmit: true,
  types: ["node"],
};

let machine: CleanMachine;
let users: PackageUsers;
let nodes: Readonly<Record<"22" | "24", string>>;

beforeAll(async () => {
  machine = await CleanMachine.arrive();
  users = await packageUsers();
  nodes = { 22: JSON.parse(await task("oldest-node")).node, 24: process.execPath };
}, timeout);

afterAll(async () => machine?.[Symbol.asyncDispose]());

it("the versions of TypeScript are those that are tested", () => {
  expect(users.typescripts.map(({ version }) => version)).toEqual(all);
  expect(new Set(cases.flatMap(([, , typescripts]) => typescripts))).toEqual(new Set(all));
});

describe.each(cases)("%s on Node.js %s", (name, version, typescripts) => {
  const installer = installers.find((one) => one.name === name) as Installer;
  let options: InstallOptions;

  beforeAll(async () => {
    const cwd = join(machine.directory, `${name}-${version}`.replace(" ", "-"));
    const text = read("tests/packages/consumer/datacenter.ts");
    const typesOfNode = (JSON.parse(read("package.json")) as { devDependencies: Record<string, string> })
      .devDependencies["@types/node"];
    const wanted = Object.fromEntries(dependencies.map((each) => [each, "latest"]));
    await writeProgram(
      cwd,
      { ...wanted, "@types/node": typesOfNode ?? "" },
      {
        "datacenter.ts": text,
        "datacenter.js": stripTypeScriptTypes(text),
        "tsconfig.json": JSON.stringify({ compilerOptions, files: ["datacenter.ts"] }),
      },
    );
    options = { machine, users, cwd, node: nodes[version] };
    const { code, stdout, stderr } = await installer.install(options);
    expect(code, `${stdout}${stderr}`).toBe(0);
  }, timeout);

  it("a datacenter runs, with every process that it starts", { timeout }, async () => {
    const program = ["--disable-warning=ExperimentalWarning", "datacenter.js"];
    const { code, stdout, stderr } = await machine.start(options.node, program, options);
    expect(code, `${stdout}${stderr}`).toBe(0);
    expect(stdout).toContain("closed: nothing is left\n");
  });

  it.for(typescripts)("it compiles with TypeScript %s", { timeout }, async (typescript) => {
    const tsc = users.typescripts.find((one) => one.version === typescript)?.tsc ?? "";
    const { code, stdout, stderr } = await machine.run(tsc, ["-p", "tsconfig.json"], { cwd: options.cwd });
    expect(code, `${stdout}${stderr}`).toBe(0);
  });
});
