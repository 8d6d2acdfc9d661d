// What a machine must have
export { missingPrograms } from "./missing-programs.ts";
export { type MountedFileSystem, mountFileSystem } from "./mount-file-system.ts";

// What breaks in a way that is wanted
export { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
export { killAfterLines } from "./kill-after-lines.ts";

// How a measurement is judged
export { type Goal, judge, lineOf, median, type Report, type Verdict } from "./goal.ts";

// How a VM monitor would read and write
export { type FileClient, openFile } from "./open-file.ts";
