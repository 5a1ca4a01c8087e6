import { startLoopbackMesh, stopLoopbackNodes, startLoopbackNode } from '/work/main/src/testing/loopback-mesh.ts';
const until = async (what: string, f: () => boolean, ms = 30000) => { const t = performance.now(); while (!f()) { if (performance.now() - t > ms) throw new Error('timeout ' + what); await new Promise(r => setTimeout(r, 5)); } return Math.round(performance.now() - t); };
const n = Number(process.argv[2] ?? 8);
const t0 = performance.now();
const nodes = await startLoopbackMesh(n);
console.log('all listening', Math.round(performance.now() - t0));
try {
console.log('all have a peer', await until('adm', () => nodes.every(x => x.network.admitted() > 0)));
console.log('all know all', await until('known', () => nodes.every(x => [...x.directory.nodes()].length === n - 1)));
} catch (e) { console.log(String(e)); console.log(nodes.map(x => [x.network.admitted(), [...x.directory.nodes()].length].join('/'))); }
console.log('peers', nodes.map(x => x.network.admitted()).join());
await new Promise(r => setTimeout(r, 3000));
console.log('peers', nodes.map(x => x.network.admitted()).join());
for (let i = 0; i < 3; i++) {
const t1 = performance.now();
const j = await startLoopbackNode({ bootstrap: [nodes[0]!.address()] });
const l = performance.now() - t1;
await until('peer', () => j.network.admitted() > 0); const p = performance.now() - t1;
await until('full', () => [...j.directory.nodes()].length >= n + i); const f = performance.now() - t1;
await until('known by all', () => nodes.every(x => x.directory.get(j.id) !== undefined)); const k = performance.now() - t1;
console.log('joiner: listening', Math.round(l), 'first peer', Math.round(p), 'full directory', Math.round(f), 'known by all', Math.round(k));
}
await new Promise(r => setTimeout(r, 2500));
nodes[1]!.facts.status = 'paused'; nodes[1]!.announcer.loadChanged();
console.log('status to all', await until('st', () => nodes.every(x => x === nodes[1] || x.directory.get(nodes[1]!.id)?.beat.status === 'paused')));
const c0 = process.cpuUsage(); await new Promise(r => setTimeout(r, 10000)); const c = process.cpuUsage(c0);
console.log('idle cpu ms/s per node', ((c.user + c.system) / 10000 / (n+3)).toFixed(1), 'rss', Math.round(process.memoryUsage().rss / 1e6));
const t2 = performance.now();
await stopLoopbackNodes();
console.log('stop', Math.round(performance.now() - t2));
