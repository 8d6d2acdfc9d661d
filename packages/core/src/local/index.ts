// What host-side code needs of the machine that it runs on
export { removeUnfinishedWrites, syncDirectory, writeFileAtomic } from "./write-file-atomic.ts";
export { type FoundProcess, findProcessesByEnvironment } from "./find-processes.ts";
export {
  awaitExit,
  identifyProcess,
  isRunning,
  killProcess,
  type ProcessIdentity,
  type RunningProcess,
  readBootId,
  signalProcess,
} from "./process-identity.ts";
export { type ProcessStat, readProcessStat } from "./process-stat.ts";
