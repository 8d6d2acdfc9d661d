const vaults = new Map<string, MemoryVault>();

/** Stands in for the vault that the plugin is for, until that takes its place. It is in memory, and outlives the plugin as a vault does. */
export class MemoryVault {
  /** The versions of each secret, the oldest first. */
  readonly secrets: Map<string, readonly string[]> = new Map();

  /** The vault at an address. */
  static at(address: string): MemoryVault {
    const vault = vaults.get(address) ?? new MemoryVault();
    vaults.set(address, vault);
    return vault;
  }
}
