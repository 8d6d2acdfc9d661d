/** What a page's examples take as the reader's own. It is declared at the end of each of the page's blocks, so that they can be checked. */
export const readersNames: Readonly<Record<string, string>> = {
  "packages/plugins/sqlite-state-store/README.md": `
    declare function openMyStore(): Promise<import("@vdc-os/core/state/v1").StateStore>;`,
  "packages/plugins/file-secret-store/README.md": `
    declare function connectToMyVault(): Promise<import("@vdc-os/core/secret/v1").SecretStore>;`,
  "packages/plugins/distributed-switch/README.md": `
    declare const stateStore: import("@vdc-os/core").Plugin, path: string, uid: string;`,
  "packages/plugins/linked-clones/README.md": `
    declare const stateStore: import("@vdc-os/core").Plugin, thinProvisioning: import("@vdc-os/core").Plugin, volumeId: string;
    declare const storageProvider: typeof import("@vdc-os/core/storage/v1").storageProvider;`,
  "packages/plugins/csi/README.md": `
    declare const stateStore: import("@vdc-os/core").Plugin;
    declare const provider: import("@vdc-os/core").Handle<import("@vdc-os/core/storage/v1").StorageProvider>;`,
  "packages/plugins/data-recovery/README.md": `
    declare const use: typeof import("@vdc-os/core/kernel").use, dc: import("@vdc-os/sdk").Datacenter;`,
  "packages/plugins/qemu/README.md": `
    declare const spec: import("@vdc-os/core/compute/v1").CreateVm["spec"];`,
  "packages/host/README.md": `
    declare function openServer(config: unknown): Promise<{ readonly clients: number; close(): Promise<void> }>;`,
};
