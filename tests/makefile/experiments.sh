#!/usr/bin/env bash
# Exercises scripts/experiment with stand-in stages in a scratch folder. Prints one line per claim.
set -uo pipefail
. "$(dirname "$0")/box.sh"
export ROOT=photographs NETWORKS=resnet18 SEEDS=0
# tells what it is given as well
sed -i '3i echo "$*" >>said.txt' target/release/tabulate; touch -d '50 minutes ago' target/release/tabulate
x() { : >said.txt; run "$@"; list=runs/experiments/small/${1/fig9ab/fig9a}.tsv; }
missing() { cut -f4- "$list" | tr '\t' '\n' | while read -r file; do [[ -f $file ]] || echo "$file"; done; }
# What ran but for the table: 0 where there is nothing to do.
new() { echo $((n - $(grep -c ^tabulate ran.log))); }

x table1;                            is "table1: a base, two losses, four ways to weigh"   "$rc $(ran)" "0 audit=6 evaluate=7 explain=2 prepare=1 reweight=11 score=2 tabulate=1 train=17"
                                     is "  the table is told its methods"                  "$(cut -f2,3 "$list" | tr '\t\n' '=,')" "baseline=0,HNM=0,FL=0,EFL=0,Ours-XGrad-CAM=0,Ours-Eigen-CAM=0,Ours-XGrad-CAM, floor 0.5=0,"
                                     is "  and where they are"                             "$(missing)" ""
                                     is "  and says how it was made"                       "$(grep -c 'NETWORKS="resnet18" PRESET=small SEEDS="0" make table1: SIZE=64 T=3 EPOCHS=4' said.txt)" 1
x table1;                            is "  again: the table alone"                         "$rc $(ran)" "0 tabulate=1"
x table5;                            is "table5 shares the base and ours: two ψ are new"   "$rc $(ran)" "0 audit=4 evaluate=2 reweight=4 tabulate=1 train=4"
x ablations;                         is "ablations share them too: seven are new"          "$rc $(grep -c ^train ran.log)" "0 14"
x fig9cd;                            is "and fig9cd has all its networks by then"          "$rc $(ran)" "0 evaluate=5 tabulate=2"
SEEDS='0 1' x table5;                is "another seed: its own base and runs"              "$rc $(ran) $(wc -l <"$list")" "0 audit=6 evaluate=4 prepare=1 reweight=7 tabulate=1 train=9 8"
NETWORKS=mobilenet_v2 x table5;      is "so does another network"                          "$rc $(grep -c ^train ran.log)" "0 9"
SPLIT=validation x table5;           is "another split: evaluations"                       "$rc $(ran) $(grep -c 'SPLIT=validation' said.txt)" "0 evaluate=4 tabulate=1 1"
WORDS='EPOCHS=2' x table5;           is "a word takes the place of the preset's"           "$rc $(grep -c 'EPOCHS=4' said.txt) $(grep -o 'EPOCHS=2' said.txt | wc -l)" "0 0 2"
for expected in fig7:8 fig8:9 fig9ab:6 background:3 search:16; do
  name=${expected%:*}
  x $name;                           is "$name: ${expected#*:} lines, of files that are there" "$rc $(wc -l <"$list") $(missing)" "0 ${expected#*:} "
  x $name;                           is "  again: the table alone"                         "$rc $(new)" "0 0"
done
x cost;                              is "cost: five turns of all programs"                 "$rc $(grep -c ^evaluate ran.log)" "0 5"
WORDS='T=2 EPOCHS=1' x search;       is "search: other numbers of rounds, of as many epochs" "$rc $(grep '^search: not in' out.txt)" "0 search: not in 2 rounds, of 2 epochs
search: not in 6 rounds, of 2 epochs"

export RUNS=other
stops=other/small/voc/resnet18-0/METHOD-hard-negative/2/weights.parquet
BREAK=$stops x table1;               is "a stage that fails stops the experiment"          "$rc $(grep -c 'reweight: broken on purpose' out.txt) $(grep -c "the rest is in other/small/voc/resnet18-0/METHOD-hard-negative/log" out.txt)" "2 1 1"
first=$n; x table1;                  is "  and it goes on there"                           "$rc $((first + n))" "0 47"
rm -r other; : >ran.log; INTERRUPT=$stops timeout 60 make table1 >out.txt 2>&1
first=$(wc -l <ran.log); x table1;   is "  as it does after an interrupt"                  "$rc $((first + n))" "0 47"
PRESET=large x table1;               is "an unknown preset is an error"                    "$rc $n $(grep -c 'PRESET=large: small or paper' out.txt)" "2 0 1"
scripts/experiment table9 >out.txt 2>&1; rc=$?; is "and an unknown experiment"             "$rc $(cat out.txt)" "2 error: no experiment table9"
finish
