package main

import (
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/bench/anomaly"
)

func benchAnomalyCommand() *cobra.Command {
	var dir string
	var detectors []string
	cmd := &cobra.Command{
		Use:   "anomaly",
		Short: "Measure how well detectors of pipelines find labelled anomalies",
		Long: `anomaly runs the detectors of pipelines over series whose anomalies are
labelled, and prints precision, recall and delay for each detector and file, as
Markdown, with how they are counted. It needs no server.

The folder has a file windows.json, {"FILE": [["START", "END"], ...]}, and the
files that it names, CSV with the columns timestamp and value: the layout of the
Numenta Anomaly Benchmark.`,
		Example: `  varve bench anomaly --data nab
  varve bench anomaly --data nab --detector 'mad: {field: value, flag: found, window: 1d, threshold: 10}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := anomaly.Load(dir)
			if err != nil {
				return err
			}
			candidates := anomaly.Candidates()
			if len(detectors) > 0 {
				candidates = nil
				for _, d := range detectors {
					candidates = append(candidates, anomaly.Candidate{Name: "`" + d + "`", Declare: d})
				}
			}
			return anomaly.Report(cmd.OutOrStdout(), all, candidates)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "data", "", "folder with windows.json and the files that it names")
	f.StringArrayVar(&detectors, "detector", nil, "detector as it is declared in a pipeline, with flag: found; several may be given (default: those of docs/ANOMALIES.md)")
	must(cmd.MarkFlagRequired("data"))
	return cmd
}
