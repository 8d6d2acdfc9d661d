// Provides the oldest Node.js that the published packages promise to run on, and prints where it is, as JSON.
import { provideOldestNode } from "../setup/oldest-node.mjs";

console.log(JSON.stringify(await provideOldestNode()));
