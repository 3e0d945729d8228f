// GPT-2 in one file of JavaScript, float64 throughout, from the paper's formulas (Radford et al.
// 2019; Vaswani et al. 2017). Speaks the judge's JSON lines. `node gpt2.js BUG` puts one bug in.
"use strict";
const fs = require("fs");
const BUG = process.argv[2] || process.env.GPT2_BUG || "";
const bug = (id) => id === BUG;

// ---- the line protocol -------------------------------------------------------------------
let pending = "";
function readLine() {
  const chunk = Buffer.alloc(1 << 16);
  const parts = [pending];
  while (!parts[parts.length - 1].includes("\n")) {
    const n = fs.readSync(0, chunk, 0, chunk.length, null);
    if (n === 0) process.exit(0);
    parts.push(chunk.toString("latin1", 0, n)); // requests are ASCII
  }
  const text = parts.join("");
  const end = text.indexOf("\n");
  pending = text.slice(end + 1);
  return JSON.parse(text.slice(0, end));
}
const say = (message) => fs.writeFileSync(1, JSON.stringify(message) + "\n");
function ask(name, ...args) {
  say({ ask: name, arguments: args });
  const reply = readLine();
  if (reply.error) throw new Error(reply.error);
  return reply.values;
}

// ---- weights -----------------------------------------------------------------------------
let stored = { path: null };
function load(path) {
  if (stored.path === path) return stored.tensors;
  const raw = fs.readFileSync(path);
  const body = 8 + Number(raw.readBigUInt64LE(0));
  const tensors = {};
  for (const [name, info] of Object.entries(JSON.parse(raw.toString("utf8", 8, body)))) {
    if (name === "__metadata__") continue;
    const [from, to] = info.data_offsets;
    const values = new Float64Array((to - from) / 4);
    for (let i = 0; i < values.length; i++) values[i] = raw.readFloatLE(body + from + 4 * i);
    tensors[name] = values;
  }
  stored = { path, tensors };
  return tensors;
}
function tensor(tensors, name, size) {
  if (!(name in tensors)) {
    if (bug("missing-tensor-random")) return Float64Array.from({ length: size }, () => Math.random() - 0.5);
    throw new Error(`the weights lack ${name}`);
  }
  if (tensors[name].length !== size) throw new Error(`${name} has the wrong size`);
  return tensors[name];
}

// ---- arithmetic --------------------------------------------------------------------------
function erf(x) {
  const a = Math.abs(x);
  if (!(a < 6)) return Number.isNaN(a) ? NaN : Math.sign(x);
  let term = a, sum = 0; // e^-x² Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!, all of one sign
  for (let n = 1; term > 1e-18 * sum; n++) {
    sum += term;
    term *= (2 * a * a) / (2 * n + 1);
  }
  return (Math.sign(x) * 2 * Math.exp(-a * a) * sum) / Math.sqrt(Math.PI);
}
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const exactGelu = (x) => (x / 2) * (1 + erf(x / Math.SQRT2));
const tanhGelu = (x) => {
  if (bug("gelu-erf")) return exactGelu(x);
  if (bug("gelu-sigmoid")) return x * sigmoid(1.702 * x);
  return (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
};
const ACTIVATIONS = {
  gelu_new: tanhGelu, gelu_pytorch_tanh: tanhGelu, gelu: exactGelu,
  relu: (x) => (x < 0 ? 0 : x), silu: (x) => x * sigmoid(x), swish: (x) => x * sigmoid(x),
};
const bits = new Float32Array(1), word = new Uint32Array(bits.buffer);
function operand(x) {
  if (!bug("tf32") || !Number.isFinite(x)) return x;
  bits[0] = x;
  word[0] = (word[0] + 0x0fff + ((word[0] >> 13) & 1)) & 0xffffe000;
  return bits[0];
}
function affine(x, w, b, flip) {
  const out = b.length;
  return Array.from(b, (start, j) => {
    let sum = start;
    for (let i = 0; i < x.length; i++) sum += operand(x[i]) * operand(flip ? w[j * x.length + i] : w[i * out + j]);
    return sum;
  });
}
function normalise(x, gain, bias, eps) {
  const n = x.length;
  const mean = x.reduce((s, v) => s + v, 0) / n;
  const variance = x.reduce((s, v) => s + (v - mean) ** 2, 0) / (bug("layernorm-bessel") ? n - 1 : n);
  let deviation = Math.sqrt(variance + (bug("layernorm-eps-zero") ? 0 : eps));
  if (bug("layernorm-eps-outside")) deviation = Math.sqrt(variance) + eps;
  if (bug("layernorm-square")) deviation = variance + eps;
  return x.map((v, i) => ((v - mean) / deviation) * gain[i] + bias[i]);
}
function softmax(scores) {
  const top = Math.max(...scores);
  if (top === -Infinity && !bug("all-masked-row")) return scores.map(() => 0);
  const e = scores.map((s) => Math.exp(bug("softmax-no-max") ? s : s - top));
  const total = e.reduce((s, v) => s + v, 0);
  return e.map((v) => v / total);
}

// ---- the model ---------------------------------------------------------------------------
function attend(qkv, real, config, layer) {
  const width = config.n_embd, size = width / config.n_head;
  let scale = config.scale_attn_weights === false && !bug("scale-flags-ignored") ? 1 : 1 / Math.sqrt(size);
  if (config.scale_attn_by_inverse_layer_idx && !bug("scale-flags-ignored")) scale /= layer + 1;
  if (bug("scale-twice")) scale *= scale;
  const hidden = bug("mask-minus-1e4") ? -1e4 : -Infinity;
  const ahead = bug("causal-off-by-one") ? 1 : bug("no-causal-mask") ? Infinity : 0;
  return qkv.map((mine, here) => {
    const out = new Array(width).fill(0);
    for (let at = 0; at < width; at += size) {
      const scores = qkv.map((other, there) => {
        if (there > here + ahead || (!real[there] && !bug("pad-unmasked"))) return hidden;
        let dot = 0;
        for (let i = at; i < at + size; i++) dot += operand(mine[i]) * operand(other[width + i]);
        if (bug("fp16-score-overflow") && Math.abs(dot) > 65504) dot *= Infinity;
        return dot * scale;
      });
      softmax(scores).forEach((p, there) => {
        for (let i = at; i < at + size; i++) out[i] += operand(p) * operand(qkv[there][2 * width + i]);
      });
    }
    return out;
  });
}
function logitsOfRow(config, tensors, ids, real) {
  const width = config.n_embd, inner = config.n_inner ?? 4 * width;
  const act = ACTIVATIONS[config.activation_function ?? "gelu_new"];
  if (!act) throw new Error(`no activation ${config.activation_function}`);
  const eps = config.layer_norm_epsilon ?? 1e-5, add = (x, y) => x.map((v, i) => v + y[i]);
  const wte = tensor(tensors, "wte.weight", config.vocab_size * width);
  const wpe = tensor(tensors, "wpe.weight", config.n_positions * width);
  let count = 0;
  let xs = ids.map((id, place) => {
    if (!(id >= 0 && id < config.vocab_size)) throw new Error(`id ${id} is not in the vocabulary`);
    let position = bug("pad-takes-position") ? place : count;
    if (real[place]) count++;
    else if (!bug("pad-takes-position")) position = 0;
    if (bug("context-wraps")) position %= config.n_positions;
    if (position >= config.n_positions) throw new Error(`more than ${config.n_positions} tokens`);
    return Array.from({ length: width }, (_, i) => wte[id * width + i] + wpe[position * width + i]);
  });
  const order = [...Array(config.n_layer).keys()];
  if (bug("layers-file-order")) order.sort(); // as texts
  order.forEach((name, layer) => {
    const get = (part, size) => tensor(tensors, `h.${name}.${part}`, size);
    const norm = (part) => {
      const gain = get(`${part}.weight`, width), bias = get(`${part}.bias`, width);
      return xs.map((x) => normalise(x, gain, bias, eps));
    };
    const through = (rows, part, from, to) => {
      const w = get(`${part}.weight`, from * to), b = get(`${part}.bias`, to);
      const flip = bug("conv1d-transposed") && from === to;
      return rows.map((x) => affine(x, w, b, flip));
    };
    const mixed = attend(through(norm("ln_1"), "attn.c_attn", width, 3 * width), real, config, layer);
    const drop = (y) => (bug("dropout-in-eval") && Math.random() < 0.1 ? y.map(() => 0) : y);
    const out = through(mixed, "attn.c_proj", width, width);
    xs = xs.map((x, i) => add(x, drop(out[i])));
    const wide = through(norm("ln_2"), "mlp.c_fc", width, inner).map((x) => x.map(act));
    const back = through(wide, "mlp.c_proj", inner, width);
    xs = xs.map((x, i) => add(x, back[i]));
  });
  const gain = tensor(tensors, "ln_f.weight", width), bias = tensor(tensors, "ln_f.bias", width);
  const tied = config.tie_word_embeddings !== false;
  let head = tied ? wte : tensor(tensors, "lm_head.weight", wte.length);
  if (tied && bug("head-untied-on-resize")) head = wte.map((_, i) => 0.02 * Math.sin(i * i + 1));
  const none = new Float64Array(config.vocab_size);
  return xs.map((x) => affine(normalise(x, gain, bias, eps), head, none, true));
}
function greedy(prompts, settings) {
  const ends = [settings.eos_token_id ?? []].flat();
  return prompts.map((prompt) => {
    const room = settings.max_new_tokens ?? settings.max_length - prompt.length;
    const row = [...prompt];
    for (let n = 0; n < room; n++) {
      const scores = ask("next_logits", [row])[0].map(Number).map((s) => (Number.isNaN(s) ? -Infinity : s));
      row.push(scores.indexOf(Math.max(...scores)));
      if (ends.includes(row[row.length - 1])) break;
    }
    return row;
  });
}
const CALLS = {
  offer: () => ({
    name: "gpt2.js", dtype: "float32", functions: ["logits", "generate"],
    decoders: ["greedy"], settings: ["max_new_tokens", "max_length", "eos_token_id"],
  }),
  logits: (r) => ({ values: r.tokens.map((ids, i) => logitsOfRow(r.config, load(r.weights), ids, r.mask[i])) }),
  generate: (r) => ({ values: greedy(r.prompts, r.settings) }),
};
for (;;) {
  const request = readLine();
  try {
    say(CALLS[request.call](request));
  } catch (error) {
    say({ error: error.message });
  }
}
