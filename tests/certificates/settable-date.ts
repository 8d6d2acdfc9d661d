// Preloaded into a process: time stands where the file says that the variable names, as long as it is there.
import { readFileSync } from "node:fs";

const path = process.env.VDC_CERTIFY_NOW ?? "";
const realNow: () => number = Date.now.bind(Date);

Date.now = () => {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return realNow();
  }
};
