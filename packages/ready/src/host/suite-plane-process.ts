// The suite's data plane as a process: started by the host runtime that is being certified.
import { spawn } from "node:child_process";
import { readFileSync, writeSync } from "node:fs";
import { type PlaneProcess, startCommand, startPlane } from "./suite-plane.ts";

const self: PlaneProcess = {
  processId: process.env.VDC_PROCESS_ID ?? "",
  owner: process.env.VDC_OWNER ?? "",
  pid: process.pid,
  write(text) {
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
  },
  exit: (code) => process.exit(code),
  kill: () => void process.kill(process.pid, "SIGKILL"),
  breed() {
    const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 600000)"], { detached: true, stdio: "ignore" });
    child.unref();
    return child.pid ?? 0;
  },
  isAlive,
};

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  try {
    // What has ended, and was not waited for, runs no more, unless another of its threads does: proc_pid_stat(5), field 20.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? Number(fields[17]) > 1 : fields[0] !== "X";
  } catch {
    return process.platform !== "linux";
  }
}

async function main(): Promise<void> {
  // Only a module needs what serves the control protocol: a command starts faster without it.
  if (process.env.VDC_CONTROL_SOCKET === undefined) {
    startCommand(self, process.argv.slice(2));
    setInterval(() => {}, 60_000);
    return;
  }
  const { dataPlaneEnvironment, serveDataPlane } = await import("@vdc-os/core/remote");
  const plane = startPlane(self, dataPlaneEnvironment().config);
  if (plane.answers) await serveDataPlane({ methods: plane.methods, stop: plane.stop, stopTimeoutMs: 600_000 });
  else setInterval(() => {}, 60_000);
}

main().catch((error) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
