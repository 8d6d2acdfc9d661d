// The plugin
export { type LinkedClonesConfig, linkedClonesConfig } from "./config.ts";
export { default } from "./plugin.ts";

// The provider, for use without a kernel
export { LinkedClonesProvider } from "./linked-clones-provider.ts";
export { type OpenLinkedClonesOptions, openLinkedClones } from "./open-linked-clones.ts";
