process.on("SIGINT", () => process.exit(0));
import http from 'node:http';
import { fastify } from 'fastify';
const kind = process.argv[2]; const chunks = 64;
const tick = () => new Promise((r) => setImmediate(r));
const { placed, done, smallApi } = await import('/work/main/src/testing/small-api.ts');
const { streamJob } = await import('/work/main/src/api/job-answer.ts');
const { AnswerLines } = await import('/work/main/src/api/ollama/answers.ts');
const { Exchanges } = await import('/work/main/src/api/exchange.ts');
const { systemClock } = await import('/work/main/src/clock.ts');
async function* run() { yield placed; for (let i=0;i<chunks;i++) { await tick(); yield {type:'chunk', tokens:1, text:' word'}; } yield done; }
const ex = new Exchanges();
const go = (res) => streamJob(ex.open(res), {model:'tiny'}, new AnswerLines({endpoint:'chat',model:'tiny',startedAt:0}, systemClock), {runJob:run, clock:systemClock});
let port;
if (kind==='asyncres') { const {AsyncResource}=await import('node:async_hooks'); const s = http.createServer((req,res)=>{ const r=new AsyncResource('x', req); req.resume(); req.on('end',()=>r.runInAsyncScope(()=>go(res))); }); await new Promise(r=>s.listen(0,'127.0.0.1',r)); port=s.address().port; }
else if (kind==='spin') { const s = http.createServer((req,res)=>{ req.resume(); req.on('end',()=>{ const t=performance.now(); while(performance.now()-t<0.03); go(res); }); }); await new Promise(r=>s.listen(0,'127.0.0.1',r)); port=s.address().port; }
else if (kind==='bare') { const s = http.createServer((req,res)=>{ req.resume(); req.on('end',()=>go(res)); }); await new Promise(r=>s.listen(0,'127.0.0.1',r)); port=s.address().port; }
else if (kind==='small') port = (await smallApi({}, {runJob:run})).port;
else {
  const app = fastify({});
  if (kind==='async') app.post('/api/chat', async (req, reply) => { reply.hijack(); await go(reply.raw); return reply; });
  if (kind==='sync') app.post('/api/chat', (req, reply) => { reply.hijack(); void go(reply.raw); });
  if (kind==='immediate') app.post('/api/chat', (req, reply) => { reply.hijack(); setImmediate(() => void go(reply.raw)); });
  if (kind==='bodyless') { app.addHttpMethod('POST',{hasBody:false,overrideExisting:true}); app.post('/api/chat', (req, reply) => { req.raw.resume(); req.raw.on('end', () => { reply.hijack(); void go(reply.raw); }); }); }
  if (kind.startsWith('v-')) { app.addHttpMethod('POST',{hasBody:false,overrideExisting:true}); const A='{"model":"tiny","created_at":"2026-11-21T04:29:08.453Z","message":{"role":"assistant","content":', B='},"done":false}\n';
   const loop = async (res) => { res.writeHead(200, {'content-type':'application/x-ndjson'}); let first=true; for await (const c of run()) if (c.type==='chunk') { const t=A+JSON.stringify(c.text)+B;
     if (kind==='v-write'||first) res.write(t); else if (kind==='v-cork') { const k=res.socket; k.cork(); res.write(t); k.uncork(); } else if (kind==='v-frame') res.socket.write(Buffer.byteLength(t).toString(16)+'\r\n'+t+'\r\n'); else if (kind==='v-frameb') res.socket.write(Buffer.from(Buffer.byteLength(t).toString(16)+'\r\n'+t+'\r\n')); first=false; } res.end(); };
   app.post('/api/chat', (req, reply) => { req.raw.resume(); req.raw.on('end', () => { reply.hijack(); void loop(reply.raw); }); }); }
  if (kind==='noparse') { app.removeAllContentTypeParsers(); app.addContentTypeParser('*', (r,p,d)=>{ p.resume(); p.on('end',()=>d(null,{})); }); app.post('/api/chat', (req, reply) => { reply.hijack(); void go(reply.raw); }); }
  await app.listen({port:0,host:'127.0.0.1'}); port=app.server.address().port;
}
console.log(port);
let last = process.cpuUsage();
process.on('message', () => { const u = process.cpuUsage(last); last = process.cpuUsage(); process.send(u); });
