// What the published packages may weigh is in package-budgets.json. With `--check`, says which figures are above their budgets. Without, sets
// those budgets anew that are exceeded, missing or far too large, at 15 % above what is measured, and says which.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootDirectory } from "../setup/paths.mjs";
import { measurePackages } from "./measure-packages.mjs";

const path = join(rootDirectory, "package-budgets.json");
const headroom = 1.15;
/** What any package may have, be it ever so small. */
const floors = { packed: 5000, unpacked: 20_000, instantiations: 200, bytes: 0, packages: 0 };
/** A budget of which less than this is used says nothing any more. */
const leastUse = 0.6;

const words = {
  packed: "bytes of its tarball",
  unpacked: "bytes unpacked",
  instantiations: "type instantiations",
  bytes: "bytes installed, with all that it depends on",
  packages: "packages installed, with all that it depends on",
};

const figures = await measurePackages();
const budgets = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
const found = [...compare()];

if (process.argv.includes("--check")) {
  if (found.length > 0) {
    console.log(found.map(({ text }) => text).join("\n"));
    console.log(
      "\nFind out what became heavier: a dependency, a file that should not be in the tarball, a type that is computed where it could be " +
        "named. If the weight is worth it, run 'npm run budgets' and commit package-budgets.json with the reason in the message.",
    );
    process.exitCode = 1;
  }
} else {
  const written = {};
  for (const [section, subjects] of Object.entries(figures)) {
    written[section] = {};
    for (const [subject, measures] of Object.entries(subjects)) {
      written[section][subject] = {};
      for (const [measure, value] of Object.entries(measures)) {
        const changed = found.some((one) => one.key === `${section} ${subject} ${measure}`);
        const budget = changed ? budgetFor(measure, value) : budgets[section][subject][measure];
        written[section][subject][measure] = budget;
      }
    }
  }
  writeFileSync(path, `${JSON.stringify(written, undefined, 2)}\n`);
  for (const { text } of found) console.log(text);
  console.log(`${found.length} budgets set in package-budgets.json`);
}

function* compare() {
  for (const [section, subjects] of Object.entries(figures)) {
    for (const [subject, measures] of Object.entries(subjects)) {
      for (const [measure, value] of Object.entries(measures)) {
        const budget = budgets[section]?.[subject]?.[measure];
        const key = `${section} ${subject} ${measure}`;
        const what = `${subject}: ${number(value)} ${words[measure]}`;
        if (budget === undefined) yield { key, text: `${what}, and no budget` };
        else if (value > budget) {
          const above = ((100 * (value - budget)) / budget).toFixed(1);
          yield { key, text: `${what}, ${above} % above the budget of ${number(budget)}` };
        } else if (budget > floors[measure] && value < budget * leastUse) {
          yield { key, text: `${what}, far below the budget of ${number(budget)}: lower it` };
        }
      }
    }
    for (const subject of Object.keys(budgets[section] ?? {})) {
      if (!(subject in subjects)) yield { key: "", text: `${subject}: has a budget, and is not there any more` };
    }
  }
}

function budgetFor(measure, value) {
  return Math.max(floors[measure], measure === "packages" ? value : roundUp(value * headroom));
}

/** To two digits, so that budgets are read easily and change rarely. */
function roundUp(value) {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(value, 1))) - 1);
  return Math.ceil(value / unit) * unit;
}

function number(value) {
  return value.toLocaleString("en");
}
