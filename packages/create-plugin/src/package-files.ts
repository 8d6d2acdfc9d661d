import type { ExtensionPoint } from "./extension-point.ts";
import { type LicenseName, licenseFile } from "./license-file.ts";

/** What the files of a package around its code are made of. */
export interface PackageFilesOptions {
  readonly point: ExtensionPoint;
  readonly name: string;
  readonly facets: readonly string[];
  readonly license: LicenseName;
  /** As `repository.url` of its package.json. */
  readonly repository: string;
  /** The file that stands in for the author's own system. */
  readonly begin: string;
}

/** The versions that a new package asks for. `vdcOs` is that of `@vdc-os/core` and `@vdc-os/ready`. */
export const versions = {
  vdcOs: "^0.1.0",
  zod: "^4.6.7",
  typescript: "^6.0.3",
  vitest: "^5.1.1",
  nodeTypes: "^22.18.0",
  publint: "^0.3.25",
  attw: "^0.18.2",
  changesets: "^3.0.3",
} as const;

/** The files of a package around its code, by their paths. They take the place of files of the template. */
export function packageFiles(options: PackageFilesOptions): Readonly<Record<string, string>> {
  return {
    "package.json": json(manifest(options)),
    "tsconfig.json": json({
      compilerOptions: {
        target: "es2023",
        module: "nodenext",
        types: ["node"],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        verbatimModuleSyntax: true,
        isolatedModules: true,
        declaration: true,
        skipLibCheck: true,
        rootDir: "src",
        outDir: "dist",
      },
      include: ["src"],
    }),
    "tsconfig.build.json": json({ extends: "./tsconfig.json", exclude: ["src/**/*.test.ts"] }),
    ".gitignore": "node_modules\ndist\n*.tgz\n*.key\nready.html\n",
    ".changeset/config.json": json({
      $schema: "https://unpkg.com/@changesets/config/schema.json",
      changelog: "@changesets/cli/changelog",
      commit: false,
      access: "public",
      baseBranch: "main",
      updateInternalDependencies: "patch",
    }),
    ".changeset/first-release.md": `---\n"${options.name}": minor\n---\n\nThe first release: \`${options.point.token}\` on our systems.\n`,
    ".github/workflows/ci.yml": workflow,
    "src/version.ts": `import { createRequire } from "node:module";

const manifest = createRequire(import.meta.url)("../package.json") as { readonly version: string };

/** The version of the package. */
export const version: string = manifest.version;
`,
    "src/certification.test.ts": certificationTest(options.point),
    "README.md": readme(options),
    LICENSE: licenseFile(options.license, options.name),
  };
}

function manifest({ point, name, license, repository }: PackageFilesOptions): object {
  const core = { "@vdc-os/core": versions.vdcOs };
  return {
    name,
    version: "0.0.0",
    description: `A plugin of VDC-OS for ${point.summary}.`,
    keywords: ["vdc-os", "vdc-os-plugin", point.name],
    license,
    repository: { type: "git", url: repository },
    type: "module",
    sideEffects: false,
    engines: { node: ">=22.18" },
    exports: {
      ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./package.json": "./package.json",
    },
    files: ["dist"],
    vdcReady: { [point.name]: "./dist/certification.js" },
    scripts: {
      build: "tsc -p tsconfig.build.json",
      typecheck: "tsc --noEmit",
      test: "vitest run",
      certify: "vdc-ready . --pack --html ready.html",
      check: "publint --strict && attw --pack . --profile esm-only",
      prepack: "npm run build",
    },
    peerDependencies: core,
    dependencies: { zod: versions.zod },
    devDependencies: {
      "@arethetypeswrong/cli": versions.attw,
      "@changesets/cli": versions.changesets,
      "@types/node": versions.nodeTypes,
      ...core,
      "@vdc-os/ready": versions.vdcOs,
      publint: versions.publint,
      typescript: versions.typescript,
      vitest: versions.vitest,
    },
    publishConfig: { access: "public" },
  };
}

function certificationTest({ name, suite }: ExtensionPoint): string {
  return `import { ${suite} } from "@vdc-os/ready/${name}";
import { describePlugin } from "@vdc-os/ready/vitest";
import { create } from "./certification.js";
import plugin from "./index.js";

describePlugin(${suite}, { plugin, create });
`;
}

const workflow = `name: ci
on:
  push:
    branches: [main]
  pull_request:
permissions:
  contents: read
jobs:
  run:
    runs-on: ubuntu-24.04
    timeout-minutes: 15
    strategy:
      fail-fast: false
      matrix:
        node: [22, 24]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with:
          node-version: \${{ matrix.node }}
      - run: npm install
      - run: npm run typecheck
      - run: npm test
      - run: npm run build
      - run: npm run check
      - run: npm run certify
      - if: always()
        uses: actions/upload-artifact@v4
        with:
          name: vdc-ready-\${{ matrix.node }}
          path: ready.html
`;

function readme({ point, name, facets, license, begin }: PackageFilesOptions): string {
  const stubs =
    facets.length === 0
      ? ""
      : `\nThe facets ${facets.map((facet) => `\`${facet}\``).join(", ")} are stubs, each in a file of its own: \`describe\` says that they are not written yet. Write one,
with what \`${begin}\` gives it, then say in \`src/facets.ts\` that it is available: from then on the kit tries it.\n`;
  const config = [
    { name: "name", summary: "the name of the provider", example: "mine" },
    { name: "address", summary: "where the system behind it is", example: "..." },
    ...point.config,
  ];
  const example = config.map((entry) => `${entry.name}: "${entry.example}"`).join(", ");
  const rows = [["config", "what it is"], ...config.map((entry) => [`\`${entry.name}\``, entry.summary])];
  return `# ${name}

A plugin of VDC-OS for ${point.summary}.

\`\`\`sh
npm install ${name}
\`\`\`

\`\`\`ts
import { Kernel, use } from "@vdc-os/core/kernel";
import { ${point.token} } from "@vdc-os/core/${point.name}/v1";
import plugin from "${name}";

await using kernel = new Kernel({ plugins: [use(plugin, { config: { ${example} } })] });
await kernel.start();
console.log(await kernel.get(${point.token}, "mine").describe({ scope: {} }));
\`\`\`

${markdownTable(rows)}

## Work on it

\`${begin}\` stands in for your system, in memory. Put your client in its place. \`src/certification.ts\` makes what the certification suite needs: give it a system to
test on, fresh for each requirement.
${stubs}
\`\`\`sh
npm test              # the certification suite, one test for each requirement and transport
npm run certify       # the same on the tarball, as it would be published; writes ready.html
npm run check         # publint and arethetypeswrong
npx vdc-ready list ${point.name}   # what is required
\`\`\`

What can't be met for a while is waived in \`vdc-ready.json\`, with a reason and a last day:
\`{ "waivers": [{ "requirement": "...", "reason": "...", "expires": "2027-01-31" }] }\`.

## Publish it

\`\`\`sh
npx changeset version
npx vdc-ready key                  # once; keep vdc-ready.key secret, publish vdc-ready.key.pub
npm run certify -- --certificate certificate.json --key vdc-ready.key
npm publish ./<the tarball that was certified>
\`\`\`

Whoever installs it can ask that it is what was certified: with \`policy: { certified: [...] }\` of the kernel.

## Licence

${license === "UNLICENSED" ? "All rights are reserved" : license}: see [LICENSE](LICENSE).
`;
}

/** A table of texts, whose columns are as wide as their widest text. The first row is its head. */
function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lineOf = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const [head = "", ...body] = rows.map((row) => lineOf(row.map((text, column) => text.padEnd(widths[column] ?? 0))));
  return [head, lineOf(widths.map((width) => "-".repeat(width))), ...body].join("\n");
}

function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
