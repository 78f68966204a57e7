package syntax

import "time"

// Node is a node of the tree.
type Node interface {
	Location() Span
}

// File is a whole script.
type File struct {
	Span
	Package string // empty if there is no clause
	Imports []*Import
	Body    []Statement
}

// Import makes a package known, by its last word or as As.
type Import struct {
	Span
	As   *Identifier // nil: by its own name
	Path string
}

// Statement is one of those below.
type Statement interface {
	Node
	statement()
}

// The statements.
type (
	// ExpressionStatement is an expression whose value, if it is a stream of
	// tables, is a result.
	ExpressionStatement struct {
		Span
		Expression Expression
	}
	// VariableAssignment gives a value a name.
	VariableAssignment struct {
		Span
		ID   *Identifier
		Init Expression
	}
	// MemberAssignment sets an option of a package.
	MemberAssignment struct {
		Span
		Member *MemberExpression
		Init   Expression
	}
	// OptionStatement sets an option: Assignment is a VariableAssignment or a
	// MemberAssignment.
	OptionStatement struct {
		Span
		Assignment Statement
	}
	// ReturnStatement ends a block.
	ReturnStatement struct {
		Span
		Argument Expression
	}
	// BuiltinStatement declares what the host provides.
	BuiltinStatement struct {
		Span
		ID *Identifier
	}
	// TestCaseStatement is a named block of a test.
	TestCaseStatement struct {
		Span
		ID    *Identifier
		Block *Block
	}
	// BadStatement is what could not be read; an error was reported.
	BadStatement struct {
		Span
		Text string
	}
)

func (*ExpressionStatement) statement() {}
func (*VariableAssignment) statement()  {}
func (*MemberAssignment) statement()    {}
func (*OptionStatement) statement()     {}
func (*ReturnStatement) statement()     {}
func (*BuiltinStatement) statement()    {}
func (*TestCaseStatement) statement()   {}
func (*BadStatement) statement()        {}

// Block is the body of a function in braces.
type Block struct {
	Span
	Body []Statement
}

// Expression is one of those below.
type Expression interface {
	Node
	expression()
}

// The expressions.
type (
	Identifier struct {
		Span
		Name string
	}
	IntegerLiteral struct {
		Span
		Value int64
	}
	UnsignedLiteral struct {
		Span
		Value uint64
	}
	FloatLiteral struct {
		Span
		Value float64
	}
	StringLiteral struct {
		Span
		Value string
	}
	// StringExpression is a string with expressions in it: parts are
	// StringLiteral and others.
	StringExpression struct {
		Span
		Parts []Expression
	}
	BooleanLiteral struct {
		Span
		Value bool
	}
	RegexpLiteral struct {
		Span
		Value string
	}
	DurationLiteral struct {
		Span
		Terms []Magnitude
	}
	DateTimeLiteral struct {
		Span
		Value time.Time
	}
	// PipeLiteral stands in the parameter that takes what is piped.
	PipeLiteral struct{ Span }
	// LabelLiteral is .name.
	LabelLiteral struct {
		Span
		Value string
	}
	ArrayExpression struct {
		Span
		Elements []Expression
	}
	DictExpression struct {
		Span
		Elements []DictItem
	}
	// ObjectExpression is a record, With what it extends.
	ObjectExpression struct {
		Span
		With       *Identifier
		Properties []*Property
	}
	// FunctionExpression has a Body or a Block.
	FunctionExpression struct {
		Span
		Params []*Param
		Body   Expression
		Block  *Block
	}
	// CallExpression has arguments by name.
	CallExpression struct {
		Span
		Callee    Expression
		Arguments []*Property
	}
	// PipeExpression gives Argument to Call.
	PipeExpression struct {
		Span
		Argument Expression
		Call     *CallExpression
	}
	// MemberExpression is object.Property or object["Property"].
	MemberExpression struct {
		Span
		Object   Expression
		Property string
		Quoted   bool
	}
	IndexExpression struct {
		Span
		Array, Index Expression
	}
	// UnaryExpression is one of - + not exists.
	UnaryExpression struct {
		Span
		Operator string
		Argument Expression
	}
	BinaryExpression struct {
		Span
		Operator    string
		Left, Right Expression
	}
	// LogicalExpression is and, or.
	LogicalExpression struct {
		Span
		Operator    string
		Left, Right Expression
	}
	ConditionalExpression struct {
		Span
		Test, Consequent, Alternate Expression
	}
	ParenExpression struct {
		Span
		Expression Expression
	}
	// BadExpression is what could not be read; an error was reported.
	BadExpression struct {
		Span
		Text string
	}
)

func (*Identifier) expression()            {}
func (*IntegerLiteral) expression()        {}
func (*UnsignedLiteral) expression()       {}
func (*FloatLiteral) expression()          {}
func (*StringLiteral) expression()         {}
func (*StringExpression) expression()      {}
func (*BooleanLiteral) expression()        {}
func (*RegexpLiteral) expression()         {}
func (*DurationLiteral) expression()       {}
func (*DateTimeLiteral) expression()       {}
func (*PipeLiteral) expression()           {}
func (*LabelLiteral) expression()          {}
func (*ArrayExpression) expression()       {}
func (*DictExpression) expression()        {}
func (*ObjectExpression) expression()      {}
func (*FunctionExpression) expression()    {}
func (*CallExpression) expression()        {}
func (*PipeExpression) expression()        {}
func (*MemberExpression) expression()      {}
func (*IndexExpression) expression()       {}
func (*UnaryExpression) expression()       {}
func (*BinaryExpression) expression()      {}
func (*LogicalExpression) expression()     {}
func (*ConditionalExpression) expression() {}
func (*ParenExpression) expression()       {}
func (*BadExpression) expression()         {}

// Magnitude is a term of a duration: a number and a unit of y, mo, w, d, h, m,
// s, ms, us and ns.
type Magnitude struct {
	Magnitude int64  `json:"magnitude"`
	Unit      string `json:"unit"`
}

// DictItem is an entry of a dictionary.
type DictItem struct {
	Key, Value Expression
}

// Property is an entry of a record or an argument of a call. A Value of nil
// is short for the variable of the same name.
type Property struct {
	Span
	Name   string
	Quoted bool
	Value  Expression
}

// Param is a parameter of a function. Default is nil if the call must give
// it; a PipeLiteral takes what is piped.
type Param struct {
	Span
	Name    string
	Default Expression
}
