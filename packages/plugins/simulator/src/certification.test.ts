import { createOperationContext } from "@vdc-os/core";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import { createTestClock } from "@vdc-os/core/testing";
import { cloudSuite } from "@vdc-os/ready/cloud";
import { computeSuite } from "@vdc-os/ready/compute";
import { type HostInstance, hostSuite, startCommand, startPlane, suitePlane } from "@vdc-os/ready/host";
import { networkSuite } from "@vdc-os/ready/network";
import { secretSuite } from "@vdc-os/ready/secret";
import { stateSuite } from "@vdc-os/ready/state";
import { type StorageInstance, storageSuite } from "@vdc-os/ready/storage";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import type { SimulatedProgram } from "./host/simulated-program.ts";
import { SimulatedWorld } from "./world/simulated-world.ts";

const spec: VmSpec = {
  cpus: 1,
  memoryBytes: 64 << 20,
  boot: { kind: "kernel", kernel: "/none", commandLine: "vdc.host=certified" },
  disks: [],
  nics: [],
};

describe("the simulator is certified", () => {
  describeSuite(stateSuite, {
    create() {
      const clock = createTestClock();
      const world = new SimulatedWorld({ clock });
      const folder = mkdtempSync(join(tmpdir(), "vdc-simulator-"));
      return {
        implementation: world.stateStore(),
        clock,
        restart: async () => world.stateStore(),
        backupPath: join(folder, "backup.json"),
        dispose() {
          world.dispose();
          rmSync(folder, { recursive: true });
        },
      };
    },
  });

  describeSuite(secretSuite, {
    create() {
      const world = new SimulatedWorld();
      return { implementation: world.secretStore(), restart: async () => world.secretStore() };
    },
  });

  describeSuite(networkSuite, {
    create() {
      const world = new SimulatedWorld();
      return {
        implementation: world.network(),
        hosts: ["host-1", "host-2"],
        async openNic({ attachment }) {
          const port = world.openNic(attachment);
          const nic = {
            send: (frame: Uint8Array) => port.send(frame),
            onFrame: (_frame: Uint8Array): void => undefined,
            close: () => port.close(),
          };
          port.listen((frame) => nic.onFrame(frame));
          return nic;
        },
        restart: async () => world.network(),
        dispose: () => world.dispose(),
      };
    },
  });

  describeSuite(computeSuite, {
    create() {
      const world = new SimulatedWorld({ hosts: [{ name: "host-1" }] });
      let made = 0;
      return {
        implementation: world.hypervisor("host-1"),
        spec,
        greeting: "VDC-READY",
        reopen: async () => world.hypervisor("host-1"),
        async makeVolume(capacityBytes) {
          const context = createOperationContext();
          const storage = world.storage();
          const { volumeId } = await storage.createVolume({ name: `disk-${made++}`, capacityBytes }, context);
          const input = { volumeId, host: "host-1", access: "readWrite", generation: 1 } as const;
          const { transport } = await storage.attachVolume(input, context);
          return {
            transport,
            read: () => world.openTransport(transport).read(0, capacityBytes),
            write: (content) => world.openTransport(transport).write(0, content),
          };
        },
        dispose: () => world.dispose(),
      };
    },
  });

  describeSuite(hostSuite, {
    create(): HostInstance {
      const program: SimulatedProgram = (self) =>
        self.args.length > 0 ? void startCommand(self, self.args) : startPlane(self, self.config);
      const world = new SimulatedWorld({ hosts: [{ name: "host-1" }], programs: { [suitePlane]: program } });
      return {
        implementation: world.hostRuntime("host-1"),
        module: suitePlane,
        command: [suitePlane],
        reopen: async () => world.hostRuntime("host-1"),
        dispose: () => world.dispose(),
      };
    },
  });

  const storageInstance = (options: ConstructorParameters<typeof SimulatedWorld>[0] = {}): StorageInstance => {
    const world = new SimulatedWorld(options);
    const folder = mkdtempSync(join(tmpdir(), "vdc-simulator-"));
    const foreign = join(folder, "foreign.qcow2");
    writeFileSync(foreign, "QFI\u00fb");
    return {
      implementation: world.storage(),
      hosts: ["host-1", "host-2"],
      openTransport: async (transport) => world.openTransport(transport),
      reopen: async () => world.storage(),
      imagePath: (name) => join(folder, name),
      hostileImages: [{ path: foreign, format: "qcow2" }],
      // The simulated data path has no process of its own: what was written is there at once.
      killStorageProcess: async () => {},
      small: () => storageInstance({ pool: { totalBytes: 32 << 20, maxOverSubscription: 8 } }),
      dispose: () => rmSync(folder, { recursive: true }),
    };
  };

  describeSuite(storageSuite, { create: () => storageInstance() });

  describeSuite(cloudSuite, {
    create() {
      const world = new SimulatedWorld({ cloud: { createMs: 15, removeMs: 15 } });
      return {
        implementation: world.cloud(),
        request: { image: "debian", size: "small", networks: ["default"] },
        wrongCredentials: () => world.cloud("simulated", { authenticated: false }),
        loseNextAnswer: () => void world.faults.add({ operation: "createInstance", nth: 1, crashAfter: true }),
        reopen: () => world.cloud(),
        makeForeign: () => world.cloudAccount().addForeign("foreign").instanceId,
        dispose: () => world.dispose(),
      };
    },
  });
});
