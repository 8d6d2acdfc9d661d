import { spawnSync } from "node:child_process";
import { findExecutable, runQuietly } from "./child-process.mjs";
import { SetupError, step } from "./progress.mjs";

/**
 * The programs of the operating system that the project runs or is judged by. npm has none of them.
 *
 * - `package`: its name in Debian and Ubuntu.
 * - `command`: the program whose presence counts where there is no dpkg.
 * - `tasks`: what needs it: `start` (virtual machines and their guest) or `test` (the independent judges as well).
 * - `without`: what happens where it is missing.
 */
export const systemPackages = [
  {
    package: "qemu-system-x86",
    command: "qemu-system-x86_64",
    tasks: ["start", "test"],
    reason: "runs the virtual machines",
    without: "virtual machines are simulated, and the tests that boot one are skipped",
  },
  {
    package: "busybox-static",
    command: "busybox",
    tasks: ["test"],
    reason: "judges the guest image's archives",
    without: "the tests that let busybox read the archives of the guest image are skipped",
  },
  {
    package: "qemu-utils",
    command: "qemu-img",
    tasks: ["test"],
    reason: "judges qcow2 images and the NBD server (qemu-img, qemu-io)",
    without: "the tests that ask qemu-img for its judgement are skipped",
  },
  {
    package: "libnbd-bin",
    command: "nbdinfo",
    tasks: ["test"],
    reason: "judges the NBD server (nbdinfo, nbdcopy)",
    without: "the tests of the NBD server against libnbd are skipped",
  },
  {
    package: "python3-libnbd",
    command: "nbdsh",
    tasks: ["test"],
    reason: "judges the NBD server (scripts of libnbd)",
    without: "the tests of the NBD server against libnbd's scripts are skipped",
  },
  {
    package: "python3",
    command: "python3",
    tasks: ["test"],
    reason: "runs the example of a provider in Python",
    without: "the provider in Python is not certified",
  },
  {
    package: "openssl",
    command: "openssl",
    tasks: ["test"],
    reason: "makes the certificates of the tests",
    without: "the tests of TLS are skipped",
  },
  {
    package: "nbdkit",
    command: "nbdkit",
    tasks: ["test"],
    reason: "is the peer that judges the NBD client",
    without: "the tests of the NBD client against nbdkit are skipped",
  },
  {
    package: "fio",
    command: "fio",
    tasks: ["test"],
    reason: "writes and verifies random blocks over NBD",
    without: "the verified random load over NBD is skipped",
  },
  {
    package: "xfsprogs",
    command: "mkfs.xfs",
    tasks: ["test"],
    reason: "makes a file system whose files share blocks, in an image file",
    without: "the tests of volumes on XFS are skipped",
  },
  {
    package: "btrfs-progs",
    command: "mkfs.btrfs",
    tasks: ["test"],
    reason: "makes a file system whose files share blocks, in an image file",
    without: "the tests of volumes on btrfs are skipped",
  },
  {
    package: "chromium",
    command: "chromium",
    tasks: ["test"],
    reason: "reads the documentation site as its readers do",
    without: "the tests of the documentation site in a browser are skipped",
  },
  {
    package: "strace",
    command: "strace",
    tasks: ["test"],
    reason: "shows which files an image of unknown origin makes its reader open",
    without: "the tests that watch the readers of hostile images are skipped",
  },
  {
    package: "tshark",
    command: "tshark",
    tasks: ["test"],
    reason: "judges the frames and VXLAN packets of the switch",
    without: "the tests that let tshark decode packets are skipped",
  },
  {
    package: "openvswitch-switch",
    command: "ovs-vswitchd",
    tasks: ["test"],
    reason: "is the peer of the OVSDB client, and the switch that ours is compared with",
    without: "the tests against Open vSwitch are skipped",
  },
  {
    package: "ovn-central",
    command: "ovn-northd",
    tasks: ["test"],
    reason: "is the central part of OVN",
    without: "the tests against OVN are skipped",
  },
  {
    package: "ovn-host",
    command: "ovn-controller",
    tasks: ["test"],
    reason: "is OVN's part on a host",
    without: "the tests against OVN are skipped",
  },
  {
    package: "iproute2",
    command: "ip",
    tasks: ["test"],
    reason: "makes the network namespaces in which VXLAN is exchanged with the kernel",
    without: "the tests against the kernel's VXLAN are skipped",
  },
  {
    package: "ethtool",
    command: "ethtool",
    tasks: ["test"],
    reason: "turns off what virtual Ethernet pairs leave undone, so that frames are whole",
    without: "the tests against the kernel's VXLAN are skipped",
  },
];

/**
 * Installs what a task needs and is missing, where that is possible, and says so. Elsewhere it says what is missing,
 * what follows from that, and how to get it; that is never a failure by itself.
 *
 * @param {"start" | "test"} task
 */
export async function provideSystemPackages(task) {
  const wanted = systemPackages.filter((entry) => entry.tasks.includes(task));
  const debian = process.platform === "linux" && ["dpkg-query", "apt-get"].every((name) => findExecutable(name));
  const missing = debian ? missingInDpkg(wanted) : wanted.filter((entry) => !findExecutable(entry.command));
  if (missing.length === 0) return;

  const asRoot = debian ? rootPrefix() : undefined;
  if (asRoot === undefined) return explain(missing, debian);

  try {
    let absent = [];
    await step(`Installing system packages: ${missing.map((entry) => entry.package).join(", ")}`, async () => {
      const apt = (...args) => {
        const [file, ...rest] = [...asRoot, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", ...args];
        return runQuietly(file, rest);
      };
      const lockWait = ["-o", "DPkg::Lock::Timeout=120"];
      // One unreachable source does not matter if the others have the packages; the installation will tell.
      await apt("update").catch(() => {});
      // What this system does not have (Ubuntu has no package of Chromium) must not keep the others away.
      absent = missing.filter((entry) => !hasCandidate(entry.package));
      const names = missing.filter((entry) => !absent.includes(entry)).map((entry) => entry.package);
      if (names.length > 0) await apt(...lockWait, "install", "-y", "--no-install-recommends", ...names);
    });
    if (absent.length > 0) explain(absent, false);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.log(error.message);
    explain(missing, true);
  }
}

function missingInDpkg(wanted) {
  const names = wanted.map((entry) => entry.package);
  // The exit code says that some package is unknown; what is installed is on standard output all the same.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: these are dpkg-query's placeholders
  const format = "${Package} ${db:Status-Status}\\n";
  const query = spawnSync("dpkg-query", ["-W", "-f", format, ...names], {
    encoding: "utf8",
  });
  const installed = new Set((query.stdout ?? "").split("\n").filter((line) => line.endsWith(" installed")));
  return wanted.filter((entry) => !installed.has(`${entry.package} installed`));
}

/** Whether the system's sources have a version of a package that could be installed. */
function hasCandidate(name) {
  const { stdout } = spawnSync("apt-cache", ["policy", name], {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  return /^ {2}Candidate: (?!\(none\))/m.test(stdout ?? "");
}

/** The words to put before a command to run it as root, or undefined where that needs a password. */
function rootPrefix() {
  if (process.getuid() === 0) return [];
  const sudo = findExecutable("sudo");
  if (sudo === undefined) return undefined;
  return spawnSync(sudo, ["-n", "true"], { stdio: "ignore" }).status === 0 ? [sudo, "-n"] : undefined;
}

function explain(missing, debian) {
  console.log("Not installed on this machine:");
  for (const entry of missing) {
    console.log(`  ${entry.package} (${entry.command}), which ${entry.reason}: ${entry.without}.`);
  }
  const names = missing.map((entry) => entry.package).join(" ");
  if (debian) console.log(`To get them: sudo apt-get install --no-install-recommends ${names}`);
  else console.log("To get them: install what is named above by this system's own means.");
}
