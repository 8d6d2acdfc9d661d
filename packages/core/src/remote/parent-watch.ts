import { Worker } from "node:worker_threads";

/** Runs beside a main thread that may hang: it looks for the parent, and ends the process some time after it is gone. */
const watch = `
const { workerData } = require("node:worker_threads");
let goneSince;
setInterval(() => {
  if (process.ppid === workerData.parent) return;
  goneSince ??= performance.now();
  if (performance.now() - goneSince >= workerData.graceMs) process.kill(process.pid, "SIGKILL");
}, 500);
`;

/**
 * Makes sure that this process does not outlive its parent, even when its main thread hangs and can't notice the end of its channel.
 * It is killed `graceMs` after the parent's death. Costs one small thread, and keeps no process alive.
 */
export function watchParent(graceMs: number): void {
  const worker = new Worker(watch, {
    eval: true,
    workerData: { parent: process.ppid, graceMs },
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    execArgv: [],
    stdout: true,
    stderr: true,
  });
  worker.on("error", () => {});
  worker.unref();
}
