// `npm run docs`: the whole documentation, in a folder that any web server can serve.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildSite } from "./build-site.ts";
import { serveSite } from "./serve-site.ts";

const usage = `npm run docs -- [--serve] [--port 4173] [--no-api] [--out site/dist] [--json]

Makes the documentation site: the guides, then the API reference. Fails when a link is dead.
  --serve    then serves it on loopback, until Ctrl+C
  --no-api   without the API reference: what one wants while writing
  --json     what was made, as JSON on standard output`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      serve: { type: "boolean", default: false },
      port: { type: "string", default: "4173" },
      "no-api": { type: "boolean", default: false },
      out: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const out = values.out ?? fileURLToPath(new URL("../dist", import.meta.url));
  const report = await buildSite({
    root,
    out,
    api: !values["no-api"],
    onProgress: (message) => (values.json ? console.error(message) : console.log(message)),
  });
  for (const { page, target, reason } of report.dead) console.error(`dead link in ${page}: '${target}': ${reason}`);
  if (values.json) console.log(JSON.stringify(report));
  else {
    console.log(
      `${report.pages} pages, ${report.links} links checked, ${report.dead.length} dead, ${report.seconds.toFixed(1)} s: ${out}/index.html`,
    );
  }
  if (values.serve) {
    const { url } = await serveSite(out, Number(values.port));
    console.error(`Serving ${url}`);
    await new Promise(() => {});
  }
  return report.dead.length === 0 ? 0 : 1;
}

process.exitCode = await main();
