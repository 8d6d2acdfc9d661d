import { Command, type OutputConfiguration } from "commander";
import { addBackupPointCommands } from "./backup-points.ts";
import { addBackupRestoreCommand } from "./backup-restore.ts";
import { addBackupRunCommand } from "./backup-run.ts";
import { addCloneCommand, addLineageCommands } from "./clones.ts";
import { addTreeCommand } from "./clone-tree.ts";
import { type BindAction, examples } from "./command-context.ts";
import { addCompletionCommand } from "./completion.ts";
import { addCsiCommand } from "./csi-serve.ts";
import { addDiskConvertCommand } from "./disk-convert.ts";
import { addDiskContentCommands, addDiskHealthCommands } from "./disk-look.ts";
import { addNetworkConfigCommands } from "./network-config.ts";
import { addNetworkCommands } from "./networks.ts";
import { addTopologyCommand } from "./network-topology.ts";
import { addCaptureCommand } from "./network-capture.ts";
import { addDiagnosisCommands } from "./network-diagnosis.ts";
import { addExplainCommand } from "./network-explain.ts";
import { addPortCommand } from "./network-port.ts";
import { addLifeCommands } from "./init.ts";
import { addMoveCommand } from "./volume-move.ts";
import { addPolicyCommands } from "./storage-policies.ts";
import { addPoolCommands } from "./storage-pools.ts";
import { addSnapshotCommands } from "./snapshots.ts";
import { addTransferCommands } from "./volume-transfer.ts";
import { addVolumeCommands, addVolumesCommand } from "./volumes.ts";
import { addVolumeMapCommand } from "./volume-map.ts";

/** Version of this package. */
export const packageVersion: string = "0.1.0";

/** The whole command line. It throws a `CommanderError` where others would end the process. */
export function createProgram(bind: BindAction, output: OutputConfiguration): Command {
  const program = new Command("vdc");
  // Settings that commands inherit come before the commands.
  program
    .description("A virtual datacenter, from a terminal.")
    .version(packageVersion, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .option("--config <file>", "the config module; else vdc.config.ts, .mts, .js or .mjs here or above")
    .option("--json", "print results as JSON, and errors as JSON on standard error")
    .option("--debug", "print where an error comes from")
    .configureOutput(output)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  addLifeCommands(program, bind);

  const storage = program.command("storage").description("pools, policies, volumes, snapshots and clones");
  addPoolCommands(storage, bind);
  addPolicyCommands(storage, bind);
  addVolumesCommand(storage, bind);
  const volume = storage.command("volume").description("make, show, resize, move, map and remove volumes");
  addVolumeCommands(volume, bind);
  addMoveCommand(volume, bind);
  addVolumeMapCommand(volume, bind);
  addTransferCommands(volume, bind);
  addSnapshotCommands(storage, bind);
  addCloneCommand(storage, bind);
  addTreeCommand(storage, bind);
  addLineageCommands(storage, bind);

  const network = program.command("network").description("switches: ports, rates, captures, health, configurations");
  addNetworkCommands(network, bind);
  addPortCommand(network, bind);
  addTopologyCommand(network, bind);
  addCaptureCommand(network, bind);
  addExplainCommand(network, bind);
  addDiagnosisCommands(network, bind);
  addNetworkConfigCommands(network, bind);

  const backup = program.command("backup").description("recovery points of VMs and volumes");
  addBackupRunCommand(backup, bind);
  addBackupPointCommands(backup, bind);
  addBackupRestoreCommand(backup, bind);

  addCsiCommand(program.command("csi").description("pools as CSI drivers"), bind);

  const disk = program.command("disk").description("disk images, without a datacenter: qcow2, raw, VMDK");
  addDiskHealthCommands(disk, bind);
  addDiskConvertCommand(disk, bind);
  addDiskContentCommands(disk, bind);

  addCompletionCommand(program, bind);
  program.addHelpText("after", () => `\n${commandList(program)}\n${start}`);
  return program;
}

const start = examples([
  ["vdc init", "a config for a datacenter in this folder"],
  ["vdc storage volume create disk --size 10G --storage thin", "a volume"],
  ["vdc backup run --volumes disk", "a recovery point of it"],
]);

/** Every command with its arguments, one on a line. */
function commandList(program: Command): string {
  const lines: (readonly [string, string])[] = [];
  const visit = (command: Command, path: string): void => {
    const own = `${path}${path === "" ? "" : " "}${command.name()}`;
    if (command.commands.length === 0) {
      const args = command.registeredArguments.map((argument) => {
        const name = argument.name().toUpperCase() + (argument.variadic ? "..." : "");
        return argument.required ? name : `[${name}]`;
      });
      lines.push([[own, ...args].join(" "), command.description()]);
    }
    for (const each of command.commands) visit(each, own);
  };
  visit(program, "");
  const widest = Math.max(...lines.map(([line]) => line.length));
  return `All commands:\n${lines.map(([line, what]) => `  ${line.padEnd(widest)}  ${what}`).join("\n")}`;
}
